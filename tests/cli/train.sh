#!/usr/bin/env bash
# `rtc train`, `sample`, `eval`: the run directory, resuming, interruption.
source "$(dirname "$0")/common.sh"
make_text text.txt 300

train() { # directory, more options
  local dir=$1
  shift
  "$rtc" train "$tiny" --data text.txt --out "$dir" --batch 4 --time 32 --threads 1 "$@"
}

expect 0 "validation loss" train whole --steps 20 --eval-every 10 --log-every 1 --set drop=0.1
exists whole/model.rt whole/config.json whole/checkpoint.safetensors whole/best.safetensors \
  whole/log.csv whole/loss.svg
head -n 1 whole/log.csv | grep -qx \
  step,loss,aux_loss,lr,grad_norm,tokens_per_second,valid_loss,skipped || fail "columns of log.csv"
[ "$(wc -l <whole/log.csv)" -eq 22 ] || fail "log.csv has $(wc -l <whole/log.csv) lines, not 22"

# A run that is there isn't overwritten, and goes on only as what it was.
expect 1 "holds a run already" train whole
expect 1 "is at step 20 of 20" train whole --resume
expect 1 "--batch" "$rtc" train "$tiny" --data text.txt --out whole --resume --batch 8
expect 1 "dim " train whole --resume --set dim=32
expect 0 "30 steps" train whole --resume --steps 30
[ "$(tail -n 1 whole/log.csv | cut -d, -f1)" -eq 30 ] || fail "the log doesn't end at step 30"

# Ctrl-C: the step is finished, everything saved; going on gives the very bytes of a run that wasn't stopped.
# (Background jobs are started directly: a function would run in a shell of its own, which the signal would hit.)
long="--data text.txt --batch 8 --time 64 --threads 1 --steps 500 --eval-every 100000 --set dim=48 --set drop=0.1"
# shellcheck disable=SC2086
"$rtc" train "$tiny" $long --out straight 2>/dev/null
# shellcheck disable=SC2086
"$rtc" train "$tiny" $long --out cut --log-every 1 2>cut.err &
pid=$!
await_steps cut
kill -INT $pid
wait $pid
status=$?
[ $status -eq 130 ] || { fail "status $status after SIGINT, not 130"; tail -n 5 cut.err; }
grep -q -- "--resume" cut.err || fail "no hint how to go on"
step=$(tail -n 1 cut/log.csv | cut -d, -f1)
[ "$step" -lt 500 ] || fail "the run had ended before it could be stopped"
# shellcheck disable=SC2086
expect 0 "500 steps" "$rtc" train "$tiny" $long --out cut --log-every 1 --resume
same straight/checkpoint.safetensors cut/checkpoint.safetensors

# Also during compilation, where there is nothing to lose yet.
RTC_CACHE_DIR=$work/cold "$rtc" train "$tiny" --data text.txt --out early --time 32 2>/dev/null &
pid=$!
sleep 0.2
kill -TERM $pid
wait $pid
[ $? -eq 130 ] || fail "no status 130 after SIGTERM while compiling"

expect 0 "bits per byte" "$rtc" eval whole --data text.txt
expect 0 '"bits_per_byte"' "$rtc" eval whole --data text.txt --json
expect 0 "perplexity" "$rtc" eval whole --data text.txt --best
"$rtc" sample whole --prompt "line 1" --tokens 40 --seed 3 >one || fail "sampling"
"$rtc" sample whole --prompt "line 1" --tokens 40 --seed 3 >two
same one two
grep -q "^line 1" one || fail "the sample doesn't begin with the prompt"
"$rtc" sample whole --tokens 300 --temperature 5 --seed 1 | iconv -f utf8 -t utf8 >/dev/null ||
  fail "the sample isn't UTF-8"
expect 0 "parameters as before any training" "$rtc" sample "$tiny" --tokens 5
expect 1 "fit model tiny" "$rtc" sample whole --set dim=3
expect 1 "fit model tiny" "$rtc" eval whole --data text.txt --set dim=3

# Memory: what doesn't fit is said before anything is written, with what does. (kill -9: nothing saved is lost.)
(
  ulimit -v 1500000
  expect 1 "hint: --batch " "$rtc" train "$tiny" --data text.txt --out large --batch 1000000 --time 32 --threads 1
  finish
) || failed=1
[ -e large ] && fail "a run that doesn't fit left a directory"
# shellcheck disable=SC2086
"$rtc" train "$tiny" $long --out killed --log-every 1 --save-every 1 2>/dev/null &
pid=$!
await_steps killed
kill -KILL $pid
wait $pid 2>/dev/null
# shellcheck disable=SC2086
expect 0 "500 steps" "$rtc" train "$tiny" $long --out killed --resume
same straight/checkpoint.safetensors killed/checkpoint.safetensors

# Damage is noticed.
cp -r whole damaged
truncate -s 5000 damaged/checkpoint.safetensors
expect 1 "damaged/checkpoint.safetensors" "$rtc" sample damaged
expect 1 "damaged/checkpoint.safetensors" train damaged --resume --steps 40
expect 0 "1 steps" train other --steps 1 --set dim=32
cp whole/checkpoint.safetensors other/
expect 1 "fit model tiny" "$rtc" sample other
expect 1 "[256, 16]" "$rtc" sample other

# A loss that isn't finite: skipped, counted, and in the end refused, with what was good kept.
expect 1 "10 steps in a row" train broken --steps 40 --set explode=1 --save-every 1
grep -q "nan" broken/log.csv && fail "a loss that isn't finite in the log"
finish
