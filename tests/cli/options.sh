#!/usr/bin/env bash
# Every option of every command does something: with it, what the command prints, writes or says differs. The
# options are those that the help lists, so a new one without a case here fails. `demo` is left to demo.sh: but
# for its text it is `train`.
source "$(dirname "$0")/common.sh"

export CC=$source_dir/tests/reference/cc.sh            # kernels without optimisation: sooner there

# ---- what the commands work on ----

make_text text.txt 100
head -c 3000 text.txt >other.txt
zeros=00000000000000000000000000000000
tensors in.st x I64 "1, 2" $zeros targets I64 "1, 2" $zeros
tensors wrong.st loss F32 "" 0000c040                         # 6; it is 5.5
"$rtc" run "$tiny" --in in.st --expect wrong.st >out 2>&1 && fail "a loss of 6"
"$rtc" train "$tiny" --data text.txt --out whole --time 16 --steps 60 --seed 3 -q || fail "no run to work on"
"$rtc" train "$tiny" --data text.txt --out far --time 16 --steps 200 --seed 7 -q || fail "no second run"
cp -r whole again
cp far/best.safetensors whole/
cp whole/checkpoint.safetensors params.st
printf 'model tiny\n  optimizer.* =\n  token = tokens.weight\n  * = *\nend\n' >tiny.map
"$rtc" convert "$tiny" --to tiny.map params.st -o theirs.st -q || fail "no names to convert"
# seeds differ in whether x is above 1, where `w` ends
cat >drawn.rt <<'END'
model drawn() {
  param w[3] ~ normal(0, 1)
  fn (x[b]) {
    let y[b] = w[2 + int(floor(x[b]))]
    return y
  }
}
END
cat >mine.c <<'END'
#include "passes/passes.h"
static void lie(Unit *u) { u->graph->roots.v[0].e.node->dt = DT_BOOL; }
const Pass rtc_passes[] = {{"lie", "call the first root a bool", lie, 0, 0, 0}, {0}};
END
cc -shared -fPIC -I "$source_dir" mine.c -o mine.so || fail "the plugin doesn't compile"

# ---- a line of each command, and a value of each option; COMMAND.OPTION where one needs its own ----

usual=simplify,dce,grad,simplify,dce,digits,split,contract,group
declare -A base=(
  [check]="check $tiny" [run]="run $tiny --in $work/in.st" [emit]="emit $tiny --target c -o k"
  [train]="train $tiny --data $work/text.txt --out run --time 16 --steps 4"
  [sample]="sample $work/whole --tokens 40" [eval]="eval $work/whole --data $work/other.txt"
  [convert]="convert $tiny --to $work/tiny.map $work/params.st -o theirs.st"
  [opt]="opt $tiny" [explain]="explain $tiny" [bench]="bench $tiny --size time=8 --steps 2"
  [gradcheck]="gradcheck $tiny --size time=5" [doctor]="doctor" [help]="help" [version]="version"
  [run.in]="run $tiny" [run.rtol]="run $tiny --in $work/in.st --expect $work/wrong.st"
  [run.atol]="run $tiny --in $work/in.st --expect $work/wrong.st" [run.json]="run $tiny --in $work/in.st"
  [run.device]="run $tiny --in $work/in.st --out out.st" [sample.device]="sample $work/whole --tokens 4 -v"
  [eval.device]="eval $work/whole --data $work/other.txt -v" [run.pipeline]="run $tiny --in $work/in.st -v"
  [train.data]="train $tiny --out run --time 16 --steps 4" [train.out]="train $tiny --data $work/text.txt --time 16 --steps 4"
  [train.resume]="train $tiny --data $work/text.txt --out $work/again --seed 3 --time 16 --steps 70"
  [train.time]="train $tiny --data $work/text.txt --out run --steps 4"
  [train.save-every]="train $tiny --data $work/text.txt --out run --time 16 --set explode=1e38"
  [emit.target]="emit $tiny -o k" [emit.output]="emit $tiny --target c"
  [emit.size]="emit $source_dir/models/routing_lm.rt --set depth=1 --target c -o k"
  [convert.from]="convert $tiny $work/theirs.st -o ours.st" [convert.output]="convert $tiny --to $work/tiny.map $work/params.st"
  [convert.to]="convert $tiny $work/params.st -o theirs.st"
  [eval.data]="eval $work/whole"
  [opt.list]="opt" [opt.load]="opt --list" [opt.bisect]="opt $tiny -p simplify" [opt.json]="opt --list"
  [opt.verify-each]="opt $tiny --load $work/mine.so -p lie" [opt.stats]="opt $tiny -p simplify" [opt.dump]="opt $tiny -p simplify"
  [opt.size]="opt $tiny -p simplify --bisect" [opt.seed]="opt $work/drawn.rt --bisect -p simplify --size b=1"
  [opt.verbose]="opt $tiny -p simplify -o x.ir --stats"
  [bench.size]="bench $tiny --steps 2" [bench.steps]="bench $tiny --size time=8"
  [bench.seed]="bench $work/drawn.rt --size b=1 --steps 2"
  [gradcheck.size]="gradcheck $tiny" [sample.source]="sample $source_dir/tests/runtime/pairs.rt --tokens 3" [sample.best]="sample $work/whole --tokens 40"
  [check.pipeline]="check $tiny -v" [eval.pipeline]="eval $work/whole --data $work/other.txt -v"
  [sample.pipeline]="sample $work/whole --tokens 4 -v" [gradcheck.pipeline]="gradcheck $tiny --size time=5 -v"
  [help.help]="help train"
)
declare -A value=(
  [in]="$work/in.st" [params]="$work/params.st" [run.out]=out.st [expect]="$work/wrong.st" [rtol]=0.5 [atol]=2
  [data]="$work/text.txt" [eval.data]="$work/text.txt" [train.out]=run [valid]="$work/other.txt" [train.steps]=2
  [batch]=2 [time]=8 [accumulate]=2 [save-every]=2 [eval-every]=1 [log-every]=1 [source]=abc [prompt]=line [tokens]=3
  [temperature]=3 [top-k]=1 [top-p]=0.01 [target]=c [emit.output]=k [from]="$work/tiny.map" [to]="$work/tiny.map"
  [convert.output]=o.st [load]="$work/mine.so" [opt.output]=o.ir [dot]=o.dot [size]=time=32 [bench.steps]=1
  [opt.size]=time=65 [completion]=bash [set]=dim=8 [eval.set]=drop=2 [device]=eval [threads]=9 [seed]=4
  [pipeline]="${usual%group}group-none" [check.pipeline]=simplify [opt.pipeline]="simplify,grad" [dump]=simplify
  [cache]=kept [emit.size]=batch=64
)
declare -A status=( # where the difference is a refusal, or a check that fails
  [run.expect]=1 [train.save-every]=1 [opt.size]=1 [opt.verify-each]=70 [bench.seed]=1 [opt.seed]=1 [sample.set]=1 [eval.set]=1 [convert.set]=1
)

# ---- what can be seen of a run ----

# Times and rates are no effects; that there is one time only is.
untimed() {
  sed -E 's/([0-9.e-]+) s \(least\), \1 s \(median\)/once/; s/[0-9.e+-]+ (ms|s|GFLOP\/s|%|tokens\/s)\b/T \1/g
    s/ in [0-9:]+( |$)/ in T\1/; s/[0-9.]+ GiB (available|free)/M/; /^ceiling|"(seconds|min|median|ratio|gemm_ceiling|cold|warm)":/d
    s/reached [0-9]+ %/reached/; s/^OMP .*/&/' "$@"
}

seen() { # LINE: its status, what it prints and says, the files it makes
  rm -rf case && mkdir case
  (
    cd case || exit
    # shellcheck disable=SC2086
    timeout 100 "$rtc" $1 >../stdout 2>../stderr </dev/null
    echo "status $?"
    untimed ../stdout
    grep -v '^OMP' ../stderr | untimed
    grep '^OMP' ../stderr | sort -u
    find . -type f | sort
    find . -type f ! -name log.csv ! -name config.json ! -name loss.svg -exec cksum {} + | sort
    [ ! -f run/log.csv ] || cut -d, -f1-5,7- run/log.csv
    [ ! -f run/config.json ] || grep -v '"command"' run/config.json
  )
}

# ---- the loop ----

tried=0
for command in $("$rtc" help | awk '/^Commands/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'); do
  [ "$command" != demo ] || continue
  for option in $("$rtc" help "$command" | sed -nE 's/^  (-., )?--([a-z-]+).*/\2/p'); do
    name=$command.$option
    line=${base[$name]-${base[$command]-}} with=--$option
    [ -n "$line" ] || { fail "no line for $command"; continue; }
    argument=${value[$name]-${value[$option]-}}
    if "$rtc" help "$command" | grep -qE "^  (-., )?--$option [^ ]"; then
      [ -n "$argument" ] || { fail "no value for $name"; continue; }
      with+=" $argument"
    fi
    unset OMP_DISPLAY_AFFINITY
    [ "$option" != threads ] || export OMP_DISPLAY_AFFINITY=true OMP_AFFINITY_FORMAT='OMP thread %n'
    [ "$option" != no-cache ] || export RTC_CACHE_DIR=kept
    seen "$line" >before
    seen "$line $with" >after
    export RTC_CACHE_DIR=$work/cache
    tried=$((tried + 1))
    got=$(sed -n '1s/status //p' after)
    [ "$got" = "${status[$name]-0}" ] || { fail "status $got of: rtc $line $with"; cat stderr; }
    if [ "$option" = quiet ]; then
      [ ! -s stderr ] || fail "-q isn't quiet: rtc $line $with"
    elif cmp -s before after; then
      fail "no effect: rtc $line $with"
    fi
  done
done
echo "$tried options"

# ---- what has no effect without, or with, another ----

while read -r line; do
  # shellcheck disable=SC2086
  expect 2 "no effect" "$rtc" $line
done <<END
run $tiny --in in.st --rtol 1
run $tiny --in in.st --atol 1
run $tiny --in in.st --no-cache --cache kept
opt $tiny --seed 1
opt $tiny --size time=8
opt $tiny --stats
opt $tiny --dump all
opt $tiny --json
opt $tiny --list
opt --list -p simplify
opt --list --bisect
opt --list --verify-each
opt --list --set dim=8
opt --list -o x.ir
opt $tiny --bisect -o x.ir
opt $tiny --bisect -p simplify --stats
opt tiny.ir --set dim=8
bench $tiny --grad --train
help --completion bash --man
check $tiny -v -q
sample $tiny --best
convert $tiny --to tiny.map --list -o x.st
END
expect 2 "needs --output" "$rtc" opt "$tiny" -p simplify --stats --json
expect 0 '"rewrites"' "$rtc" opt "$tiny" -p simplify --stats --json -o x.ir
for command in check emit explain; do
  for option in device=cpu threads=1 seed=1; do
    expect 2 "has no option --${option%=*}" "$rtc" $command "$tiny" "--$option"
  done
done
[ $tried -ge 140 ] || fail "only $tried options found"
finish
