#!/usr/bin/env bash
# Pairs of a source and a target: training, answers, and what is no pair.
source "$(dirname "$0")/common.sh"
pairing=$source_dir/tests/runtime/pairs.rt

# Words of 1 to 8 letters and the same in capitals: every letter's answer is one letter.
awk 'BEGIN { for (i = 0; i < 300; i++) { w = ""; for (k = 0; k <= i % 8; k++) w = w substr("abcdef", (i * 7 + k * k * (i % 5)) % 6 + 1, 1); print w "\t" toupper(w) } }' >words.tsv

train() { # directory, more options
  local dir=$1
  shift
  "$rtc" train "$pairing" --data words.tsv --out "$dir" --batch 16 --threads 1 "$@"
}

expect 0 "270 pairs to train on, 30 to validate" train whole --steps 150 --eval-every 50 --log-every 1
grep -q "sample whole --source TEXT" err || fail "no hint how to be answered"
exists whole/model.rt whole/config.json whole/checkpoint.safetensors whole/best.safetensors whole/log.csv whole/loss.svg
expect 0 "nats per token" "$rtc" eval whole
grep -q "^exact answers   100.00 %: 30 of 30$" out || fail "not all answers of what was held out are exact"
expect 0 ": 300 of 300" "$rtc" eval whole --data words.tsv
expect 0 '"exact": 1.0' "$rtc" eval whole --data words.tsv --json
grep -q '"pairs": 300,' out || fail "no number of pairs in the JSON"
grep -q '"tokens": '"$(cut -f2 words.tsv | wc -c)," out || fail "not every letter and end of the targets counts, once"
sed 's/A$/x/' words.tsv >wrong.tsv
right=$(grep -vc 'x$' wrong.tsv)
expect 0 ": $right of 300" "$rtc" eval whole --data wrong.tsv

# Answers: the most likely one; begun by the user; drawn; cut.
answer() { # EXPECTED, OPTIONS
  local expected=$1 got
  shift
  got=$("$rtc" sample whole "$@" 2>err) || { fail "status of: sample $*"; cat err; }
  [ "$got" = "$expected" ] || fail "answer \`$got\`, not \`$expected\`: sample $*"
}
answer FACADE --source facade
answer FACADE --source facade --prompt FA
answer FAC --source facade --tokens 3
grep -q "the answer had not ended after 3 tokens" err || fail "a cut answer goes unsaid"
answer FACADE --source facade --best
[ "$("$rtc" sample whole --source facade --temperature 1000 2>/dev/null)" != FACADE ] || fail "--temperature has no effect"
expect 0 "" "$rtc" sample "$pairing" --source abc --tokens 4

# Another seed is another run; one that was interrupted goes on to the very bytes.
expect 0 "" train other --steps 3 --seed 5
expect 0 "" train again --steps 3
expect 0 "" train third --steps 3
same again/checkpoint.safetensors third/checkpoint.safetensors
cmp -s again/checkpoint.safetensors other/checkpoint.safetensors && fail "--seed has no effect"
long="--data words.tsv --batch 8 --threads 1 --steps 600 --eval-every 100000 --set drop=0.1"
# shellcheck disable=SC2086
"$rtc" train "$pairing" $long --out straight 2>/dev/null
# shellcheck disable=SC2086
"$rtc" train "$pairing" $long --out cut --log-every 1 2>/dev/null &
pid=$!
await_steps cut
kill -INT $pid
wait $pid
[ $? -eq 130 ] || fail "no status 130 after SIGINT"
# shellcheck disable=SC2086
expect 0 "600 steps" "$rtc" train "$pairing" $long --out cut --log-every 1 --resume
same straight/checkpoint.safetensors cut/checkpoint.safetensors

# What is no pair: one message with file and line, and no directory.
refuse() { # TEXT OF THE FILE, MESSAGE, OPTIONS
  local text=$1 message=$2
  shift 2
  # shellcheck disable=SC2059
  printf "$text" >bad.tsv
  expect 1 "$message" "$rtc" train "$pairing" --data bad.tsv --out refused "$@"
  grep -q '^error: ' err || fail "no error message for: $text"
  [ ! -e refused ] || fail "a refused start left a run directory"
}
refuse 'a\tA\nb\nc\tC\n' "bad.tsv:2: no tab in this line"
refuse 'a\tA\nb\nc\tC\n' "expected: the source, a tab, the target"
refuse 'a\tA\tx\n' "bad.tsv:1: more than one tab in this line"
refuse 'a\tA\n\tB\n' "bad.tsv:2: the source is empty"
refuse 'a\tA\nb\t\n' "bad.tsv:2: the target is empty"
refuse 'a\tA\nabcdefghi\tA\n' "bad.tsv:2: the source has 9 bytes, and the model takes 8"
refuse 'a\tabcdefghi\n' "hint: a larger dec_max_seq_len"
refuse 'a\001\tA\n' "bad.tsv:1: the source has the byte 1 at place 2, and that stands for the start"
refuse 'a\tA\nb\t\303\251\n' "bad.tsv:2: the target has the byte 195" --set dec_num_tokens=128
refuse '' "bad.tsv: this is an empty file"
refuse 'a\tA\n' "bad.tsv has no pair (of 1 in all)"
refuse 'a\tA\nb\tB\n' "--time is for texts" --time 4
refuse 'a\tA\nb\tB\n' "the loss would count padding" --set ignore_index=-1
refuse 'a\tA\nb\tB\n' "pad_value is 2, and that token is the end" --set pad_value=2
printf 'abcd' >tokens.bin
expect 1 "tokens.bin is a token file; the model needs a text of pairs" "$rtc" train "$pairing" --data tokens.bin --out refused
expect 1 "words.tsv:1: the source has 1 bytes, and the model takes 0" "$rtc" train "$pairing" --data words.tsv --out refused --set enc_max_seq_len=1
printf 'a\n' >bad.tsv
expect 1 "bad.tsv:1: no tab" "$rtc" eval whole --data bad.tsv
mv words.tsv away.tsv
expect 1 "words.tsv: No such file" "$rtc" eval whole
mv away.tsv words.tsv
expect 2 "answers to a source: give it one with --source TEXT" "$rtc" sample whole
expect 1 "--source is empty" "$rtc" sample whole --source ""
expect 1 "--source has 9 bytes, and the model takes 8" "$rtc" sample whole --source abcdefghi
expect 1 "--prompt has 9 bytes" "$rtc" sample whole --source a --prompt abcdefghi
expect 1 "--source has the byte 2 at place 1" "$rtc" sample whole --source $'\002'
expect 2 "goes on with a text and takes no --source" "$rtc" sample "$tiny" --source abc

# The model needs a target to say anything, and clusters may be as few as one.
"$rtc" check "$source_dir/models/routing_encdec.rt" | grep -qx ' *tgt\[batch, time\]: int' ||
  fail "routing_encdec.rt does without a target"

# The encoder and decoder learn to turn words of four letters round, and do so with words they have not seen.
awk 'BEGIN { for (i = 0; i < 256; i++) { n = i * 77 % 256; s = t = ""; for (k = 0; k < 4; k++) { c = substr("abcd", n % 4 + 1, 1); s = s c; t = c t; n = int(n / 4) } print s "\t" t } }' >turned.tsv
options=()
for side in enc dec; do
  for set in depth=1 heads=2 dim_head=16 max_seq_len=16 window_size=16 n_local_attn_heads=1; do
    options+=(--set "${side}_$set")
  done
done
expect 0 "230 pairs to train on" "$rtc" train "$source_dir/models/routing_encdec.rt" --data turned.tsv --out turned \
  --batch 32 --steps 300 --set dim=32 "${options[@]}" --set optimizer.lr=4e-3
"$rtc" eval turned --json >json || fail "eval of turned"
exact=$(sed -n 's/^ *"exact": \([0-9.]*\),\{0,1\}$/\1/p' json)
awk -v x="$exact" 'BEGIN { exit !(x >= 0.9) }' || fail "only $exact of the answers are exact"
grep -q '"enc.net.layers.0.attn.global_attn.unrouted"' json || fail "no reports of the routing"
said=0
while IFS=$'\t' read -r source target; do
  [ "$("$rtc" sample turned --source "$source")" = "$target" ] && said=$((said + 1))
done < <(tail -n 4 turned.tsv)
[ $said -ge 2 ] || fail "only $said of 4 words turned round"
finish
