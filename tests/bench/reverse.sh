#!/usr/bin/env bash
# reverse.sh: the encoder and decoder learn to turn words of up to 24 random letters round: the share of exact answers
# to 1000 words that were not among the 60,000 it learnt from, and how long that took.
#
#     tests/bench/reverse.sh [OUT_DIR] [RTC]
#
# The encoder's heads are half local, half routed through two clusters of 16; the decoder's clusters hold every position,
# so that what it says of a beginning doesn't depend on what follows.
set -eu
out=${1:-reverse}
rtc=${2:-build/rtc}
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out"
awk -v words="$out/words.tsv" -v unseen="$out/unseen.tsv" 'BEGIN {
  state = 1
  while (n < 61000) {
    word = turned = ""
    for (left = 1 + draw(24); left > 0; left--) { c = sprintf("%c", 97 + draw(26)); word = word c; turned = c turned }
    if (seen[word]++) continue
    print word "\t" turned > (n++ < 60000 ? words : unseen)
  }
}
function draw(below) { state = (state * 48271) % 2147483647; return int(state / 2147483647 * below) }'
options=(--set dim=128 --set enc_window_size=16 --set dec_window_size=32)
for side in enc dec; do
  for set in depth=1 heads=4 dim_head=32 max_seq_len=32 n_local_attn_heads=2; do options+=(--set "${side}_$set"); done
done
options+=(--set optimizer.lr=2e-3 --set 'schedule=[warmup(100), cosine(to=1e-4)]')
start=$(date +%s)
"$rtc" train "$root/models/routing_encdec.rt" --data "$out/words.tsv" --valid "$out/unseen.tsv" --out "$out/run" \
  --batch 64 --steps 1200 --eval-every 300 "${options[@]}"
end=$(date +%s)
"$rtc" eval "$out/run" -q | grep -E 'loss|exact'
echo "trained in     $((end - start)) s, compiling included"
for word in a routing transformer abcdefghijklmnopqrstuvwx; do
  echo "$word -> $("$rtc" sample "$out/run" --source "$word")"
done
