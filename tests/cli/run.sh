#!/usr/bin/env bash
# `rtc run`: tensors in and out.
source "$(dirname "$0")/common.sh"
python3 - <<'PY'
import json, struct
def save(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
tokens = struct.pack("<16q", *[i * 7 % 256 for i in range(16)])
small = bytes(i * 7 % 256 for i in range(16))
save("in.safetensors", {"x": ("I64", [2, 8], tokens), "targets": ("I64", [2, 8], tokens)})
save("bytes.safetensors", {"x": ("U8", [2, 8], small), "targets": ("U8", [2, 8], small)})
save("x.safetensors", {"x": ("I64", [2, 8], tokens)})
save("unknown.safetensors", {"x": ("I64", [2, 8], tokens), "targts": ("I64", [2, 8], tokens)})
save("rank.safetensors", {"x": ("I64", [16], tokens)})
save("range.safetensors", {"x": ("I64", [2, 1], struct.pack("<2q", 1, 256))})
save("long.safetensors", {"x": ("I64", [1, 65], struct.pack("<65q", *[0] * 65))})
save("w.safetensors", {"token": ("F32", [2, 2], struct.pack("<4f", 1, 2, 3, 4))})
PY

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
"$rtc" run "$tiny" --in x.safetensors | grep -q loss && fail "a loss without targets"
expect 0 '"mean"' "$rtc" run "$tiny" --in in.safetensors --json
expect 1 "targts" "$rtc" run "$tiny" --in unknown.safetensors
expect 1 "\`x\`" "$rtc" run "$tiny" --in rank.safetensors
expect 1 "x" "$rtc" run "$tiny" --in range.safetensors
expect 1 "longer than max_seq_len" "$rtc" run "$tiny" --in long.safetensors
expect 1 "needs the input x" "$rtc" run "$tiny"
expect 1 "[256, 16]" "$rtc" run "$tiny" --in x.safetensors --params w.safetensors
printf '<html>' >page.safetensors
expect 1 "HTML" "$rtc" run "$tiny" --in page.safetensors
finish
