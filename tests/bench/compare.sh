#!/usr/bin/env bash
# compare.sh: seconds per training step, rtc and the PyTorch package alternately on this machine.
#
#     tests/bench/compare.sh PYTHON [ROUNDS] [RTC]
#
# PYTHON has torch and routing_transformer 1.6.1 (tests/reference/requirements.txt). The configuration is a
# byte-level model: dim 128, depth 4, 4 heads of 32 (2 local), window 32, GEGLU, time 256, batch 8, AdamW.
# PyTorch gets an allocator that keeps its memory: without it, page faults are measured.
set -eu
cd "$(dirname "$0")/../.."
python=$1
rounds=${2:-3}
rtc=${3:-build/rtc}
options=()
for set in num_tokens=256 dim=128 depth=4 heads=4 dim_head=32 max_seq_len=256 window_size=32 n_local_attn_heads=2 \
  causal=true ff_glu=true 'optimizer=adamw(lr=1e-3, betas=[0.9, 0.95], weight_decay=0.1)' clip=1; do
  options+=(--set "$set")
done
seconds() { "$python" -c 'import json,sys; d = json.load(sys.stdin); s = d["seconds"]; print(s["min"], s["median"])'; }
for ((i = 0; i < rounds; i++)); do
  ours=$("$rtc" bench models/routing_lm.rt "${options[@]}" --train --steps 30 --size batch=8 --size time=256 --json | seconds)
  theirs=$(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 \
    "$python" -W ignore tests/bench/pytorch_step.py --steps 30 | seconds)
  echo "$ours $theirs" | awk '{printf "rtc %.4f s (median %.4f)   PyTorch %.4f s (median %.4f)   ratio %.2f (median %.2f)\n", $1, $2, $3, $4, $1 / $3, $2 / $4}'
done
