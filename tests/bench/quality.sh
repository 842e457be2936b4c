#!/usr/bin/env bash
# quality.sh: validation loss of a byte-level model after 1000 steps; the PyTorch package reaches 1.644 nats on
# tiny shakespeare with the same settings.
#
#     tests/bench/quality.sh TEXT [OUT_DIR] [RTC]
set -eu
text=$(realpath "$1")
out=${2:-quality}
rtc=${3:-build/rtc}
root=$(cd "$(dirname "$0")/../.." && pwd)
options=()
for set in num_tokens=256 dim=128 depth=4 heads=4 dim_head=32 max_seq_len=256 window_size=32 n_local_attn_heads=2 \
  causal=true ff_glu=true 'optimizer=adamw(lr=1e-3, betas=[0.9, 0.95], weight_decay=0.1)' \
  'schedule=[warmup(50), cosine(to=1e-4)]' clip=1; do
  options+=(--set "$set")
done
"$rtc" train "$root/models/routing_lm.rt" "${options[@]}" --data "$text" --out "$out" --steps 1000 --batch 8 --time 256
