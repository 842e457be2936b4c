#!/usr/bin/env bash
# Every command that the README shows is run, in blocks and in prose, with few steps; every `rt` block is a
# program that checks.
. "$(dirname "$0")/common.sh"
readme=$source_dir/README.md
ln -s "$source_dir/models" models
make_text MY.txt 3000
for ((i = 0; i < 40; i++)); do printf 'word %d\t%d drow\n' "$i" "$i"; done >pairs.tsv
mkdir bin
ln -s "$rtc" bin/rtc
export PATH=$work/bin:$PATH

blocks() { awk -v kind="$1" '/^```/ { inside = ($0 == "```" kind); next } inside' "$readme"; }

ran=0
while IFS= read -r line; do
  command=${line%%  #*}
  case $command in
  "rtc train"*" --resume"*) command=${command/--steps 1200/--steps 4} ;;
  "rtc train"*) command=${command/--steps 1000/--steps 2} ;;
  "bash tools/quickstart.sh"*) command="bash '$source_dir/tools/quickstart.sh' --help" ;; # sets up this machine: shown, not run
  "bash tools/check.sh"*) command="true" ;;                                               # would run this test
  esac
  eval "$command" >out 2>err </dev/null || { fail "status $?: $command"; cat err; }
  ran=$((ran + 1))
done < <(blocks sh)
[ $ran -ge 14 ] || fail "only $ran commands found in the README"

# ---- commands in the prose: as they stand but for their names ----

build=$(dirname "$rtc")
prefix=$work/prefix
mkdir checkout
ln -s "$build" checkout/build

installed() {
  local found=() file
  cmake --install "$build" --prefix "$prefix" >out 2>err || { fail "status $? of cmake --install"; cat err; }
  for file in bin/rtc share/man/man1/rtc.1 share/bash-completion/completions/rtc share/zsh/site-functions/_rtc \
    share/fish/vendor_completions.d/rtc.fish include/rtc.h; do
    exists "$prefix/$file"
  done
  same "$prefix/share/rtc/models/nn.rt" "$source_dir/models/nn.rt"
  bash -n "$prefix/share/bash-completion/completions/rtc" || fail "the completion is no bash"
  (cd "$prefix" && expect 0 "($prefix/share/rtc/models/routing_lm.rt)" bin/rtc check routing_lm && exit $failed) || failed=1
  found=("$prefix"/lib*/pkgconfig/rtc.pc "$prefix"/lib*/*/pkgconfig/rtc.pc)
  for file in "${found[@]}"; do
    [ ! -f "$file" ] || PKG_CONFIG_PATH=$(dirname "$file")
  done
  export PKG_CONFIG_PATH
  printf '#include <stdio.h>\n#include <rtc.h>\nint main(void) { return puts(rtc_version()) < 0; }\n' >version.c
  # shellcheck disable=SC2046
  cc version.c $(pkg-config --cflags --libs rtc) -Wl,-rpath,"$(pkg-config --variable=libdir rtc)" -o version ||
    fail "nothing can be built with the installed library"
  expect 0 "$("$rtc" version | cut -d' ' -f2)" ./version
}

page() { # as man shows it, where there is a man
  grep -q '^\.TH' "$prefix/share/man/man1/rtc.1" || fail "no page of a manual"
  command -v man >/dev/null || return
  MANPATH=$prefix/share/man expect 0 "gradcheck" man rtc
}

plugin() {
  cat >my_pass.c <<'END'
#include "passes/passes.h"
static void again(Unit *u) { graph_rewrite(u->graph, NULL, NULL); }
const Pass rtc_passes[] = {{"again", "rebuild once", again, 0, HAS_GROUPS, 0}, {0}};
END
  cc -shared -fPIC -I "$source_dir" my_pass.c -o my_pass.so || fail "a pass doesn't compile"
  expect 0 "root output" rtc opt models/mlp.rt --load my_pass.so -p again,dce --verify-each
}

options=()       # of the run that the blocks have made; its checkpoint stands for one of the package
for option in dim=128 depth=4 heads=4 dim_head=32 max_seq_len=256 window_size=32 n_local_attn_heads=2 causal=true ff_glu=true; do
  options+=(--set $option)
done
expect 0 "" rtc convert models/routing_lm.rt --to routing_transformer run/checkpoint.safetensors -o pytorch.safetensors \
  "${options[@]}"
tensors in.safetensors x I64 "1, 2" 00000000000000000000000000000000

prose() { awk '/^```/ { inside = !inside; next } !inside' "$readme"; }

while IFS= read -r command; do
  case $command in
  "rtc help COMMAND") expect 0 "Usage: rtc train" rtc help train ;;
  "rtc help" | "rtc doctor") expect 0 "" bash -c "$command" ;;
  "man rtc") page ;;
  "export PATH="*) expect 0 "rtc" bash -c "cd checkout; $command; [ \"\$(command -v rtc)\" -ef build/rtc ] && rtc version" ;;
  "cmake --install build") installed ;;
  "rtc opt --load my_pass.so") plugin ;;
  "rtc convert "*) expect 0 "" bash -c "$command \"\$@\"" convert "${options[@]}" ;;
  "rtc run ... --params "*)
    expect 0 "logits" bash -c "${command/.../models/routing_lm.rt --in in.safetensors} \"\$@\"" run "${options[@]}" ;;
  "rtc bench MODEL --train") expect 0 "training step" bash -c "${command/MODEL/models/mlp.rt} --steps 1" ;;
  "rtc sample" | "rtc convert") expect 0 "Usage: $command" bash -c "$command --help" ;;
  "tests/bench/"*) bash -n "$source_dir/${command%% *}" || fail "no script: $command" ;;       # needs PyTorch
  *) fail "a command in the README's prose that isn't tried here: $command" ;;
  esac
done < <(prose | grep -oE '`(rtc|cmake|man|export|bash|tests/bench/[a-z_]*\.sh) [^`]*`' | tr -d '`' |
  awk '{ print /^cmake/ ? 0 : 1, $0 }' | sort -s -k1,1n | cut -d' ' -f2-)

blocks rt >readme.rt
expect 0 "attention" rtc check readme.rt
exists run/checkpoint.safetensors run/log.csv run/loss.svg kernels/plan.txt mlp.ir again.ir

# the demo, briefly
expect 0 "rtc train" rtc demo --data MY.txt --seconds 2 --out demo
finish
