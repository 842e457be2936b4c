#!/usr/bin/env bash
# `rtc opt`, `explain`, `emit`, `bench`, `gradcheck`, `doctor`.
source "$(dirname "$0")/common.sh"

expect 0 "group" "$rtc" opt --list
expect 0 "root output" "$rtc" opt "$tiny"
"$rtc" opt "$tiny" -o one.ir && "$rtc" opt one.ir -o two.ir
same one.ir two.ir
expect 0 "root grad" "$rtc" opt one.ir -p simplify,grad,dce --verify-each
expect 0 "rewrites" "$rtc" opt "$tiny" -p simplify --stats -o /dev/null
expect 0 "changes a value" "$rtc" opt "$tiny" -p simplify,dce,grad,simplify --bisect
expect 1 "did you mean \`simplify\`" "$rtc" opt "$tiny" -p simplyfy
expect 2 "needs FILE.rt" "$rtc" opt
# a pass of one's own, which is known to the command that loaded it only
cat >mine.c <<'END'
#include "passes/passes.h"
static void forget(Unit *u)
{
    u->graph->roots.n = 1;
    graph_rewrite(u->graph, NULL, NULL);
}
const Pass rtc_passes[] = {{"forget", "keep one root only", forget, 0, HAS_GROUPS, 0}, {0}};
END
${CC:-cc} -shared -fPIC -I "$source_dir" mine.c -o mine.so || fail "the plugin doesn't compile"
expect 0 "keep one root only" "$rtc" opt --list --load mine.so
expect 0 "1 root" bash -c '"$0" opt one.ir --load mine.so -p simplify,forget --verify-each |
  grep -c ^root | sed "s/$/ root/"' "$rtc"
expect 1 "did you mean \`forget\`" "$rtc" opt one.ir --load mine.so -p forgets
expect 1 "no pass \`forget\`" "$rtc" opt one.ir -p forget

expect 0 "k0" "$rtc" explain "$tiny"
expect 0 '"phase": "backward"' "$rtc" explain "$tiny" --grad --json
expect 0 "" "$rtc" explain "$tiny" --dot out.dot
grep -q digraph out.dot || fail "no digraph"
expect 0 "kernels" "$rtc" emit "$tiny" --target c -o emitted
exists emitted/plan.txt
for compiler in gcc clang; do
  command -v $compiler >/dev/null || continue
  $compiler -Wall -Wextra -Werror -O1 -c emitted/kernels.c -o /dev/null || fail "$compiler warns of emitted kernels"
done

expect 0 '"gemm_ceiling"' "$rtc" bench "$tiny" --size time=32 --steps 3 --json
expect 0 "training step" "$rtc" bench "$tiny" --size time=32 --steps 3 --train
expect 1 "free dimension" "$rtc" bench "$tiny" --size tim=32
expect 0 "token" "$rtc" gradcheck "$tiny" --size time=5
expect 0 "processor" "$rtc" doctor
expect 0 "root output" "$rtc" opt "$tiny" -p simplify --dump simplify:dump.ir
exists dump.ir
# a program dumped after any stage goes on from there
usual=$("$rtc" opt --list | sed -n 's/^usual pipeline: //p')
"$rtc" opt "$tiny" -p "$usual" -o whole.ir || fail "the usual pipeline"
for stage in grad digits split recompute contract; do
  expect 0 "" "$rtc" opt "$tiny" -p "$usual" --dump "$stage:dump.ir" -o /dev/null
  expect 0 "" "$rtc" opt dump.ir -p "${usual#*,"$stage",}" -o rest.ir
  same rest.ir whole.ir
done
# how far compiling is, on a terminal, which then has the result alone
if command -v script >/dev/null; then
  expect 0 "compiling: 1 of " script -qec "'$rtc' bench '$tiny' --size time=32 --steps 3 --no-cache" /dev/null
  grep -qP 'compiling:[^\r]*forward' out && fail "a line of progress stays before the result"
fi
# a pipeline that doesn't make what is asked for
expect 1 "makes no groups" "$rtc" bench "$tiny" -p simplify
expect 1 "makes no gradients" "$rtc" bench "$tiny" --grad -p simplify,dce,contract,group
finish
