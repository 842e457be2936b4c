#!/usr/bin/env bash
# `rtc run`: tensors in and out.
source "$(dirname "$0")/common.sh"
tokens="" small="" zeros=""
for ((i = 0; i < 16; i++)); do
  small+=$(printf '%02x' $((i * 7)))
  tokens+=$(printf '%02x00000000000000' $((i * 7)))
done
for ((i = 0; i < 65; i++)); do zeros+=00; done
tensors in.safetensors x I64 "2, 8" "$tokens" targets I64 "2, 8" "$tokens"
tensors bytes.safetensors x U8 "2, 8" "$small" targets U8 "2, 8" "$small"
tensors x.safetensors x I64 "2, 8" "$tokens"
tensors unknown.safetensors x I64 "2, 8" "$tokens" targts I64 "2, 8" "$tokens"
tensors rank.safetensors x I64 16 "$tokens"
tensors range.safetensors x I64 "2, 1" "01000000000000000001000000000000"
tensors long.safetensors x U8 "1, 65" "$zeros"
tensors w.safetensors token F32 "2, 2" 0000803f000000400000404000008040

expect 0 "loss" "$rtc" run "$tiny" --in in.safetensors
expect 0 "" "$rtc" run "$tiny" --in in.safetensors --out out.safetensors --grad --train --seed 4
grep -aq '"grad/token"' out.safetensors || fail "no gradient in the file"
grep -aq '"state/centre"' out.safetensors || fail "no state in the file"
expect 0 "ok   grad/token" "$rtc" run "$tiny" --in bytes.safetensors --grad --train --seed 4 \
  --expect out.safetensors
expect 0 "ok   logits" "$rtc" run "$tiny" --in bytes.safetensors --grad --train --seed 4 \
  --expect out.safetensors --device eval --rtol 1e-3 --atol 1e-4
expect 1 "BAD" "$rtc" run "$tiny" --in bytes.safetensors --grad --train --seed 5 \
  --expect out.safetensors
expect 1 "the model doesn't give it" "$rtc" run "$tiny" --in in.safetensors --expect out.safetensors
expect 0 "logits" "$rtc" run "$tiny" --in x.safetensors
"$rtc" run "$tiny" --in x.safetensors | grep -q "^loss" && fail "a loss without targets"
expect 0 '"mean"' "$rtc" run "$tiny" --in in.safetensors --json
expect 0 "kernels, launched" "$rtc" run "$tiny" --in in.safetensors -v
expect 1 "targts" "$rtc" run "$tiny" --in unknown.safetensors
expect 1 "\`x\`" "$rtc" run "$tiny" --in rank.safetensors
expect 1 "x" "$rtc" run "$tiny" --in range.safetensors
expect 1 "longer than max_seq_len" "$rtc" run "$tiny" --in long.safetensors
expect 1 "needs the input x" "$rtc" run "$tiny"
expect 1 "[256, 16]" "$rtc" run "$tiny" --in x.safetensors --params w.safetensors
printf '<html>' >page.safetensors
expect 1 "HTML" "$rtc" run "$tiny" --in page.safetensors
finish
