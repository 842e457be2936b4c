#!/usr/bin/env bash
# compare.sh: seconds per training step, rtc and the PyTorch package alternately on this machine.
#
#     tests/bench/compare.sh PYTHON [WORK] [ROUNDS] [RTC]
#
# PYTHON has torch and routing_transformer 1.6.1 (tests/reference/requirements.txt). WORK is one of
#
#     small     byte-level: dim 128, depth 4, 4 heads of 32 (2 local), window 32, time 256, batch 8 (the default)
#     medium    vocabulary 20000, dim 512, depth 2, 8 heads of 64 (4 local), window 128, time 2048, dropout 0.1
#     forward   the same, only the forward pass, without dropout
#     large     the same as medium at depth 12, time 8192; PyTorch as the package's README has it (reversible,
#               ff_chunks 10), rtc with saved activations
#     reversible  ... and rtc reversible too
#
# all with GEGLU and AdamW. PyTorch gets an allocator that keeps its memory: without it, page faults are measured.
# rss is the process's largest resident memory.
set -eu
cd "$(dirname "$0")/../.."
python=$1
work=${2:-small}
rounds=${3:-3}
rtc=${4:-build/rtc}
steps=30
ours=(--train)
theirs=()
large=(num_tokens=20000 dim=512 heads=8 dim_head=64 window_size=128 n_local_attn_heads=4)
dropout=(attn_dropout=0.1 ff_dropout=0.1)
theirs_large=(--vocabulary 20000 --dim 512 --heads 8 --dim-head 64 --window 128 --local-heads 4 --batch 1)
case $work in
  small)
    set -- num_tokens=256 dim=128 depth=4 heads=4 dim_head=32 max_seq_len=256 window_size=32 n_local_attn_heads=2
    ours+=(--size batch=8 --size time=256) ;;
  medium)
    set -- "${large[@]}" "${dropout[@]}" depth=2 max_seq_len=2048
    ours+=(--size batch=1 --size time=2048)
    theirs=("${theirs_large[@]}" --depth 2 --time 2048 --dropout 0.1)
    steps=5 ;;
  forward)
    set -- "${large[@]}" depth=2 max_seq_len=2048
    ours=(--size batch=1 --size time=2048)
    theirs=("${theirs_large[@]}" --depth 2 --time 2048 --forward)
    steps=10 ;;
  large | reversible)
    set -- "${large[@]}" "${dropout[@]}" depth=12 max_seq_len=8192
    [ "$work" = large ] || set -- "$@" reversible=true ff_chunks=10
    ours+=(--size batch=1 --size time=8192)
    theirs=("${theirs_large[@]}" --depth 12 --time 8192 --dropout 0.1 --reversible --chunks 10)
    steps=2 ;;
  *)
    echo "there is no work $work" >&2
    exit 2 ;;
esac
options=()
for set in "$@" causal=true ff_glu=true 'optimizer=adamw(lr=1e-3, betas=[0.9, 0.95], weight_decay=0.1)' clip=1; do
  options+=(--set "$set")
done
figures() {
  "$python" -c 'import json,sys; d = json.load(sys.stdin); s = d["seconds"]; print(s["min"], s["median"], d.get("rss_mb", d.get("resident_bytes", 0) / 2**20), d.get("gemm_ceiling", 0) / 1e9)'
}
for ((i = 0; i < rounds; i++)); do
  mine=$("$rtc" bench models/routing_lm.rt "${options[@]}" "${ours[@]}" --steps "$steps" --json 2>/dev/null | figures)
  peer=$(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 \
    "$python" -W ignore tests/bench/pytorch_step.py "${theirs[@]}" --steps "$steps" | figures)
  echo "$mine $peer" | awk '{
    printf "rtc %.4f s (median %.4f, rss %.0f MB)   PyTorch %.4f s (median %.4f, rss %.0f MB)   ratio %.2f (median %.2f)   ceiling %.0f GFLOP/s\n",
      $1, $2, $3, $5, $6, $7, $1 / $5, $2 / $6, $4 }'
done
