#!/usr/bin/env bash
# `rtc convert`: names there and back, the list, and files that don't fit.
source "$(dirname "$0")/common.sh"

lm=$source_dir/models/routing_lm.rt
map=$source_dir/models/routing_transformer.map
case=$source_dir/tests/reference/cases/weight_tie.safetensors
options=()
for option in num_tokens=20 dim=16 depth=3 heads=4 dim_head=4 max_seq_len=32 window_size=8 weight_tie=true \
  causal=true n_local_attn_heads=1; do
  options+=(--set "$option")
done

expect 0 "" "$rtc" convert "$lm" --from routing_transformer "$case" -o ours "${options[@]}"
expect 0 "" "$rtc" convert "$lm" --to routing_transformer ours -o theirs "${options[@]}"
expect 0 "" "$rtc" convert "$lm" --from "$map" theirs -o again "${options[@]}"
exists ours theirs again
same ours again
expect 0 "grad/net.layers.0.attn.to_q.weight" cat ours
expect 0 "grad/routing_transformer.layers.layers.2.0.fn.to_q.weight" cat theirs
expect 0 "net.layers.2.ff_in.norm.bias" "$rtc" convert "$lm" --from routing_transformer --list "${options[@]}"
expect 0 "layers.layers.2.0.fn.global_attn.kmeans.initted" "$rtc" convert "$lm" --to routing_transformer --list \
  "${options[@]}"

# Layers that don't run are converted with the others; whole checkpoints go both ways, and run.
small=()
for option in num_tokens=20 dim=16 depth=3 heads=4 dim_head=4 max_seq_len=32 window_size=8 causal=true n_local_attn_heads=2 \
  pkm_layers=2 pkm_num_keys=40; do
  small+=(--set "$option")
done
head -c 2000 /dev/zero >zeros.bin
expect 0 "1 steps" "$rtc" train "$lm" --data zeros.bin --out run --steps 1 --batch 1 --time 8 --device eval "${small[@]}"
expect 0 "" "$rtc" convert "$lm" --to routing_transformer run/checkpoint.safetensors -o whole "${small[@]}"
expect 0 "" "$rtc" convert "$lm" --from routing_transformer whole -o back "${small[@]}"
tensors in.st x I64 "1, 2" 00000000000000000000000000000000
for kept in 1 2 1,3; do
  few=("${small[@]}" --set "keep_layers=[$kept]")
  expect 0 "" "$rtc" convert "$lm" --to routing_transformer run/checkpoint.safetensors -o some "${few[@]}"
  same whole some
  expect 0 "" "$rtc" convert "$lm" --from routing_transformer whole -o some "${few[@]}"
  same back some
  expect 0 "parts of routing_lm that don't run here" "$rtc" run "$lm" --in in.st --params some --device eval "${few[@]}"
done
expect 0 "pkm_num_keys: only parts that don't run here read it" "$rtc" check "$lm" "${small[@]}" --set "keep_layers=[1,3]"
expect 0 '"idle": true' "$rtc" check "$lm" "${small[@]}" --set "keep_layers=[1,3]" --options --json
expect 0 "" "$rtc" check "$lm" "${small[@]}" --set "keep_layers=[1,2]"
grep -q idle out && fail "an option of a layer that runs is called idle"

expect 1 "nothing was written" "$rtc" convert "$lm" --from routing_transformer "$case" -o none
[ -e none ] && fail "a file that doesn't fit was converted"
expect 1 "no names are known for" "$rtc" convert "$lm" --from pytorch --list
expect 1 "has no names for the model" "$rtc" convert "$source_dir/models/mlp.rt" --from routing_transformer --list
expect 2 "one of --from NAME and --to NAME" "$rtc" convert "$lm" --list
expect 2 "needs IN.safetensors" "$rtc" convert "$lm" --from routing_transformer "$case"
finish
