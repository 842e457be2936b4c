#!/usr/bin/env bash
# Every command that the README shows is run, with few steps; every `rt` block is a program that checks.
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
  case $command in
  *quickstart*) [ -x "$source_dir/tools/quickstart.sh" ] || fail "no quickstart" ;;
  *) eval "$command" >out 2>err </dev/null || { fail "status $?: $command"; cat err; } ;;
  esac
  ran=$((ran + 1))
done < <(blocks sh)
[ $ran -ge 14 ] || fail "only $ran commands found in the README"

blocks rt >readme.rt
expect 0 "attention" rtc check readme.rt
exists run/checkpoint.safetensors run/log.csv run/loss.svg kernels/plan.txt mlp.ir again.ir

# the demo, briefly
expect 0 "rtc train" rtc demo --data MY.txt --seconds 2 --out demo
finish
