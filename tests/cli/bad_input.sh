#!/usr/bin/env bash
# Wrong files, values, shapes, disks, compilers and moments: one clear message, the right status,
# nothing lost, nothing half written.
source "$(dirname "$0")/common.sh"
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
root=$(id -u)

# Milliseconds of processor time that ended commands have taken so far, into $spent: how busy the machine is
# doesn't matter.
measure() {
  local user system
  times >times.txt
  { read -r _ && read -r user system; } <times.txt
  spent=0
  for t in "$user" "$system"; do
    t=${t%s} # 0m0.123
    spent=$((spent + ${t%m*} * 60000))
    t=${t#*m}
    spent=$((spent + ${t%.*} * 1000 + 10#${t#*.}))
  done
}

# refuse STATUS TEXT COMMAND...: as expect, with a message that begins as errors do, in less than 2 s.
refuse() {
  local status=$1 text=$2 before
  shift 2
  [ "$(type -t "$1")" = function ] || set -- timeout 60 "$@"
  measure
  before=$spent
  expect "$status" "$text" "$@"
  measure
  [ $((spent - before)) -lt 2000 ] || fail "$((spent - before)) ms until a refusal: $*"
  grep -qE '^(.+:[0-9]+:[0-9]+: )?error: ' err || fail "no error message from: $*"
}

train() { # more options
  "$rtc" train "$tiny" --data text.txt --batch 4 --time 32 --threads 1 "$@"
}

# refuse_train STATUS TEXT OPTIONS...: and no run directory is left.
refuse_train() {
  local status=$1 text=$2
  shift 2
  refuse "$status" "$text" "$rtc" train "$tiny" --out refused --time 16 "$@"
  [ ! -e refused ] || fail "a refused start left a run directory: $*"
  rm -rf refused
}

bytes() { # HEX: as bytes
  # shellcheck disable=SC2059
  printf "$(sed 's/../\\x&/g' <<<"$1")"
}

le64() { # NUMBER: as 16 hex digits, low byte first
  printf '%016x' "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\8\7\6\5\4\3\2\1/'
}

# raw FILE HEADER ZEROS [LENGTH]: a safetensors file as it is told, with ZEROS bytes of data.
raw() {
  bytes "$(le64 "${4:-${#2}}")" >"$1"
  printf '%s' "$2" >>"$1"
  head -c "$3" /dev/zero >>"$1"
}

repeat() { # TEXT, TIMES
  # shellcheck disable=SC2046
  printf -- "$1%.0s" $(seq "$2")
}

model() { # FILE, BODY, [PARAMETERS]
  printf 'model m() {\n  %s\n  fn (x[b,t]) {\n%s\n  }\n}\n' "${3:-}" "$2" >"$1"
}

make_text text.txt 100
zeros8=0000000000000000
tensors in.st x I64 "1, 2" $zeros8$zeros8
tensors both.st x I64 "1, 2" $zeros8$zeros8 targets I64 "1, 2" $zeros8$zeros8
expect 0 "4 steps" train --out whole --steps 4 --save-every 2
expect 0 "" "$rtc" run "$tiny" --in both.st --grad --out good.st

# ---- files that are missing, or of another kind ----

printf '<!DOCTYPE html><html>' >page.html
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n' >pointer
gzip <text.txt >text.gz
printf 'PK\003\004aaaaaaaaaaaaaaaa' >model.pt
: >empty
mkfifo pipe.rt
for f in page.html:HTML pointer:git-lfs text.gz:gzip model.pt:PyTorch; do
  file=${f%:*} what=${f#*:}
  refuse 1 "$file: not a valid safetensors file: this is a" "$rtc" run "$tiny" --in "$file"
  refuse 1 "$what" "$rtc" run "$tiny" --in in.st --params "$file"
  refuse 1 "$file is no model: this is a" "$rtc" check "$file"
  if [ "$file" = page.html ]; then continue; fi       # a page is text as well: a warning
  refuse_train 1 "$what" --data "$file"
done
refuse 1 "there is no model nothing.rt" "$rtc" check nothing.rt
refuse 1 "directory" "$rtc" check /tmp
refuse 1 "/tmp: this is a directory" "$rtc" run "$tiny" --in /tmp
refuse 1 "is no model: this is a device or pipe" "$rtc" check pipe.rt
refuse 1 "missing.st: No such file" "$rtc" run "$tiny" --in missing.st
refuse 1 "looked for in" "$rtc" run "$tiny" --in missing.st
refuse 1 "this is a text" "$rtc" run "$tiny" --in text.txt
refuse_train 1 "an empty file" --data empty
refuse_train 1 "this is a directory" --data /tmp
refuse_train 1 "missing: No such file" --data text.txt missing
if [ "$root" -ne 0 ]; then
  cp in.st secret.st && chmod 000 secret.st
  refuse 1 "secret.st: Permission denied" "$rtc" run "$tiny" --in secret.st
fi
cp page.html page.bin
refuse_train 1 "an HTML page, not a token file" --data page.bin --set num_tokens=300
expect 0 "tags included" "$rtc" train "$tiny" --data page.html --out html --time 4 --steps 1
echo short >short.txt
refuse_train 1 "windows of --time 16 need 17" --data short.txt

# ---- token files ----

printf '\1\0\2' >odd.bin
refuse_train 1 "3 bytes are not a whole number of 16-bit tokens" --data odd.bin
{ head -c 1000 /dev/zero; printf '\377\377'; } >big.bin
refuse_train 1 "token 65535 at byte 1000, but num_tokens is 300" --data big.bin --set num_tokens=300
refuse_train 1 "at byte 0, but num_tokens is 90" --data text.txt --set num_tokens=90
llmc() { # FILE, MAGIC, VERSION, TOKENS, BYTES
  bytes "$(le64 "$2" | cut -c1-8)$(le64 "$3" | cut -c1-8)$(le64 "$4" | cut -c1-8)" >"$1"
  head -c $((1012 + $5)) /dev/zero >>"$1"
}
llmc short.bin 20240520 1 5000 100
refuse_train 1 "says 5000 tokens, so it should have 11024 bytes" --data short.bin
llmc version.bin 20240520 7 50 100
refuse_train 1 "version 7" --data version.bin
llmc magic.bin 20240521 1 50 100
refuse_train 1 "magic 20240521" --data magic.bin
head -c 9 short.bin >cut.bin
refuse_train 1 "shorter than its 1024-byte header" --data cut.bin

# ---- safetensors files that lie ----

x='"x":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]}'
at() { printf '"%s":{"dtype":"I64","shape":%s,"data_offsets":%s}' "$1" "$2" "$3"; }
raw dup.st "{$x,$x}" 16
raw overlap.st "{$x,$(at targets '[1,2]' '[8,24]')}" 24
raw hole.st "{$x,$(at targets '[1,2]' '[24,40]')}" 40
raw tail.st "{$x}" 20
raw product.st "{$(at x '[4294967296,4294967296]' '[0,0]')}" 0
raw wrap.st "{$(at x '[2305843009213693952,1]' '[0,8]')}" 8
raw negative.st "{$(at x '[-1,2]' '[0,16]')}" 16
raw offsets.st "{$(at x '[1,2]' '[16,0]')}" 16
raw claim.st "{$x}" 16 100000
raw huge.st "{$x}" 16 9223372036854775807
raw none.st "{$x}" 16 0
raw inside.st "{$x}" 16 10
raw json.st '{"x": flip flop}' 0
raw deep.st "{\"x\":$(repeat '[' 10000)" 0
raw long.st "{\"$(repeat x 3000)\":1}" 0
raw rank.st "{$(at x '[1,1,1,1,1,1,1,1,1,1,1,1]' '[0,8]')}" 8
raw name.st '{"\u001b[31m":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}' 8
raw dtype.st '{"x":{"dtype":"Q4","shape":[1],"data_offsets":[0,8]}}' 8
for f in dup:"duplicate object key" overlap:overlap hole:"8 unused bytes" tail:"4 bytes after" \
  product:"more elements than can be counted" wrap:"more bytes than can be counted" \
  negative:"not a whole number" offsets:"data_offsets of tensor" claim:"claims 100000 bytes" \
  huge:"at most 16777216" none:"not a JSON object" inside:"premature end" json:"invalid token" \
  deep:"maximum parsing depth" long:"at most 256" rank:"at most 8" name:"control character" \
  dtype:"dtype \`Q4\`"; do
  refuse 1 "${f%%:*}.st: not a valid safetensors file" "$rtc" run "$tiny" --in "${f%%:*}.st"
  refuse 1 "${f#*:}" "$rtc" run "$tiny" --in "${f%%:*}.st"
done
for n in 0 1 7 8 9 30 72 80; do
  head -c $n in.st >cut.st
  refuse 1 "cut.st: not a valid safetensors file" "$rtc" run "$tiny" --in cut.st
done

# ---- options ----

lm=$source_dir/models/routing_lm.rt
for f in depht=4:"did you mean \`depth\`" dim=wide:"must be of type int" dim=1e3:"write 1000" \
  dim=0:"at least one feature" dim=-1:"at least one feature" heads=0:"at least one head" \
  depth=0:"at least one layer" depth=1000000000:"too long" \
  depth=5000:"more than 100000 operations" window_size=100:"multiple of window_size" \
  window_size=0:"at least one position" window_size=-3:"at least one position" \
  ff_chunks=0:"an int from 1" n_local_attn_heads=99:"more local heads than heads" \
  n_local_attn_heads=4,4,4:"takes 6 values" max_seq_len=1099511627776:"2147483647" \
  dim=99999999999999999999:"too large" pkm_layers=9:"count layers from 1 to depth" \
  causal=2:"true or false" attn_dropout=2:"probability" attn_dropout=-1:"probability" \
  attn_dropout=nan:"must be of type float" pkm_num_keys=64:"nothing reads it" \
  optimizer.lr=fast:"must be a number" schedule=foo:"list of phases" \
  'optimizer=adamw(lrr=1)':"did you mean \`lr\`"; do
  refuse 1 "${f#*:}" "$rtc" check "$lm" --set "${f%%:*}"
done
for f in --threads=0 --threads=-1 --threads=9999 --seed=-1 --seed=x --steps=0 --batch=0 --time=0 \
  --batch=2147483648 --accumulate=0; do
  refuse_train 1 "${f%=*}" --data text.txt "$f"
done
refuse 1 "no pass \`foo\`" "$rtc" check "$tiny" -p foo
refuse 1 "no pass \`foo\`" "$rtc" check "$tiny" --dump foo
refuse_train 1 "longer than max_seq_len" --data text.txt --time 65

# ---- memory, predicted ----

( # 1 GB
  ulimit -v 1000000
  bash -c '"$0" version' "$rtc" >/dev/null 2>&1 || exit $failed # a sanitizer wants more for itself
  refuse_train 1 "time = 64: 16.1 GiB of memory are needed" --data text.txt --time 64 \
    --batch 1000000
  refuse_train 1 "--accumulate" --data text.txt --batch 500000
  refuse_train 1 "GiB of memory are needed" --data text.txt --set num_tokens=2000000000
  refuse 1 "GiB of memory are needed" "$rtc" bench "$tiny" --size batch=2000000
  refuse 1 "the evaluator keeps every value" "$rtc" opt "$tiny" --bisect --size batch=1000000
  exit $failed
) || failed=1

# ---- model files ----

model deep.rt "let y[b,t] = $(repeat '(' 10000)x[b,t]$(repeat ')' 10000)
    return y"
refuse 1 "nested too deeply" "$rtc" check deep.rt
model blocks.rt "let y = x
    $(repeat 'if true { ' 10000) y = x $(repeat '}' 10000)
    return y"
refuse 1 "nested too deeply" "$rtc" check blocks.rt
model signs.rt "let y[b,t] = $(repeat '- ' 10000)x[b,t]
    return y"
refuse 1 "nested too deeply" "$rtc" check signs.rt
refuse_body() { # TEXT, BODY, [PARAMETERS]
  model body.rt "$2
    return y" "${3:-}"
  refuse 1 "$1" "$rtc" check body.rt
}
refuse_body "1099511627776" 'let y[b,t] = sum[k: 1099511627776] x[b,t]'
refuse_body "fit 64 bits" 'let y[b,t] = sum[k: 4611686018427387904 * 4] x[b,t]'
refuse_body "1099511627776" 'let y[b,t] = x[b,t] + w[0]' 'param w[1099511627776] = 0'
refuse_body "too many elements" 'let y[b,t] = x[b,t] + w[0,0,0]' \
  'param w[2000000000,2000000000,2000000000] = 0'
refuse_body "too large" 'let y[b,t] = x[b,t] * 340282366920938463463374607431768211456'
refuse_body "too large" 'let y[b,t] = x[b,t] * 1e400'
refuse_body "does not fit a float" 'let y[b,t] = x[b,t] * 1e39'
refuse_body "32 bits" 'let y[b,t] = int(x[b,t]) * 3000000000'
refuse_body "more than" 'let y = x
    for i in 0..1000000000 { y[b,t] = y[b,t] * x[b,t] }'
{
  echo 'fn f0(x) = x + 1'
  for ((i = 1; i < 40; i++)); do echo "fn f$i(x) = f$((i - 1))(x) + f$((i - 1))(x) * 2"; done
} >twice.rt
refuse 1 "grows without end" "$rtc" check twice.rt
echo 'fn f(x) = f(x) + 1' >self_call.rt
refuse 1 "does a function call itself" "$rtc" check self_call.rt
imports() { # FILE, IMPORT
  printf 'import "%s"\nmodel m() { fn (x[b]) = x }\n' "$2" >"$1"
}
imports itself.rt itself.rt
imports one.rt two.rt
imports two.rt one.rt
imports lost.rt nothing.rt
imports folder.rt tmp
imports absolute.rt /etc/passwd
refuse 1 "in a circle" "$rtc" check itself.rt
refuse 1 "one.rt imports two.rt imports one.rt" "$rtc" check one.rt
refuse 1 "there is no file \`nothing.rt\`" "$rtc" check lost.rt
refuse 1 "it is a directory" "$rtc" check folder.rt
refuse 1 "not from \`/\`" "$rtc" check absolute.rt
grep -q root err && fail "an absolute import was read"
printf 'model m() { fn (x[b]) = \0 x }' >nul.rt
refuse 1 "a NUL byte" "$rtc" check nul.rt
head -c 3000 "$rtc" >binary.rt
refuse 1 "binary.rt:1:" "$rtc" check binary.rt
grep -qP '[^\x09\x0a\x20-\x7e]' err && fail "bytes that aren't text reached the terminal"
{ printf '\377\376'; printf 'model m() {}' | sed 's/./&\x0/g'; } >wide.rt
refuse 1 "UTF-16" "$rtc" check wide.rt
"$rtc" opt "$tiny" -o graph.ir
refuse 1 "graph.ir is a graph" "$rtc" train graph.ir --data text.txt --out refused
head -c 3000 graph.ir >cut.ir
refuse 1 "cut.ir:" "$rtc" opt cut.ir
refuse 1 "./text.txt: " "$rtc" opt "$tiny" --load text.txt
refuse 1 "./missing.so: " "$rtc" opt "$tiny" --load missing.so

# ---- models that train and sample can't use ----

echo 'model m() { fn (y[b,t]) = y }' >inputs.rt
refuse 1 "found: y[b, t]: float" "$rtc" train inputs.rt --data text.txt --out refused
cat >lossless.rt <<'END'
model m() {
  param w[1] = 1
  fn (x[b,t]: int, targets[b,t]: int) {
    let y[b,t] = w[0]
    return y
  }
}
END
refuse 1 "returns no \`loss\`" "$rtc" train lossless.rt --data text.txt --out refused
refuse 1 "returns no \`logits\`" "$rtc" sample lossless.rt
[ -e refused ] && fail "a refused model left a run directory"

# ---- tensors that don't fit ----

tensors batch.st x I64 "1, 2" $zeros8$zeros8 targets I64 "2, 1" $zeros8$zeros8
tensors rank.st x I64 "2" $zeros8$zeros8
tensors none.st x I64 "0, 4" ""
tensors half.st x F32 "1, 1" 0000003f
tensors outside.st x I64 "1, 1" 2c01000000000000
tensors wide.st x I64 "1, 1" ffffffffffffff7f
long=$(repeat 00 65)
tensors long.st x U8 "1, 65" "$long"
refuse 1 "\`batch\` is 1 by input \`x\`" "$rtc" run "$tiny" --in batch.st
refuse 1 "input \`x\` has 1 axes" "$rtc" run "$tiny" --in rank.st
refuse 1 "input \`x\` is empty: its axis 0" "$rtc" run "$tiny" --in none.st
refuse 1 "element 0 of \`x\` is 0.5" "$rtc" run "$tiny" --in half.st
refuse 1 "holds 300 at [0, 0], outside 0..255" "$rtc" run "$tiny" --in outside.st
refuse 1 "element 0 of \`x\`" "$rtc" run "$tiny" --in wide.st
refuse 1 "with batch = 1, time = 65" "$rtc" run "$tiny" --in long.st
refuse 1 "needs the input \`targets\`" "$rtc" run "$tiny" --in in.st --grad
tensors expected.st logits F32 "1, 1" 00000000 nothing F32 "1" 00000000
refuse 1 "2 of 2 tensors differ" "$rtc" run "$tiny" --in in.st --expect expected.st
grep -q "the model doesn't give it" out || fail "a tensor that the model doesn't give"
grep -q "shape \[1, 2, 256\], expected \[1, 1\]" out || fail "a tensor of another shape"
refuse 1 "missing/out.st: cannot create: No such file" env RTC_CACHE_DIR=unused \
  "$rtc" run "$tiny" --in in.st --out missing/out.st
[ ! -e unused ] || fail "where to write is looked at after compiling"
refuse 1 "Is a directory" "$rtc" run "$tiny" --in in.st --out tmp
refuse 1 "No space left" "$rtc" run "$tiny" --in in.st --out /dev/full

# ---- options of the models that make no sense: which, what is expected, what was found ----

# refuse_option EXPECTED FOUND MODEL NAME=VALUE...
refuse_option() {
  local expected=$1 found=$2 model=$3 set=()
  shift 3
  for option in "$@"; do set+=(--set "$option"); done
  refuse 1 "expected: $expected" "$rtc" check "$source_dir/models/$model.rt" "${set[@]}"
  grep -qF "found: $found" err || { fail "not found: $found"; cat err; }
}
refuse_option "dim_head % 2 == 0" "\`dim_head % 2\` is the int 1, \`dim_head\` is the int 7" routing_lm dim_head=7
refuse_option "dim_head % 2 == 0" "\`dim_head % 2\` is the int 1, \`dim_head\` is the int 7" routing_lm dim_head=7 \
  n_local_attn_heads=8
refuse_option "moe_num_experts >= 2" "\`moe_num_experts\` is the int 0" routing_lm moe_layers=1 moe_num_experts=0
refuse_option "moe_num_experts >= 2" "\`moe_num_experts\` is the int 1" routing_lm moe_layers=1 moe_num_experts=1
refuse_option "moe_loss_coef >= 0" "\`moe_loss_coef\` is the float -1" routing_lm moe_layers=1 moe_loss_coef=-1
refuse_option "features >= 1" "\`features\` is the int 0" mlp features=0
refuse_option "hidden[i] >= 1" "\`hidden[i]\` is the int 0" mlp hidden=4,0
refuse_option "classes >= 1" "\`classes\` is the int 0" mlp classes=0
refuse_option "max_seq_len >= 1" "\`max_seq_len\` is the int 0" routing_lm max_seq_len=0
refuse_option "window_size >= 1" "\`window_size\` is the int 0" routing_lm window_size=0
refuse_option "local_attn_window_size >= 1" "\`local_attn_window_size\` is the int 0" routing_lm \
  n_local_attn_heads=2 local_attn_window_size=0
refuse_option "context_window_size >= 1" "\`context_window_size\` is the int 0" routing_lm \
  receives_context=true context_window_size=0
refuse_option "ignore_index < num_tokens" "\`ignore_index\` is the int 256, \`num_tokens\` is the int 256" routing_lm \
  ignore_index=256
refuse_option "ignore_index < dec_num_tokens" "\`ignore_index\` is the int 256" routing_encdec ignore_index=256
for none in -1 -100 0; do
  expect 0 "logits" "$rtc" check "$lm" --set depth=1 --set ignore_index=$none
done
expect 0 "dy" "$rtc" check "$source_dir/models/routing_transformer.rt" --set depth=1 --set dim_head=7 # nothing is rotated
refuse 1 "\`momentum\` must be at least 0 and less than 1" "$rtc" check "$source_dir/models/mlp.rt" \
  --set optimizer.momentum=5
grep -q "^ *5$" err || fail "the momentum that was found"

# ---- parameters and checkpoints ----

cat >two.rt <<'END'
model m() {
  param v[2] = 1
  param w[2] = 1
  fn (x[b]) {
    let y[b] = x[b] * v[0] + w[1] + v[1] * w[0]
    return y
  }
}
END
tensors x.st x F32 "1" 0000803f
nan=0000c07f one=0000803f
tensors ok.st v F32 2 $one$one w F32 2 $one$one
tensors lacks.st v F32 2 $one$one
tensors more.st v F32 2 $one$one w F32 2 $one$one u F32 1 $one
tensors shape.st v F32 2 $one$one w F32 1 $one
tensors nan.st v F32 2 $one$nan w F32 2 $one$one
expect 0 "" "$rtc" run two.rt --in x.st --params ok.st
for f in lacks:"w +- +\[2\]" more:"u +\[1\] +-" shape:"w +\[1\] +\[2\]"; do
  refuse 1 "${f%%:*}.st doesn't fit model m" "$rtc" run two.rt --in x.st --params "${f%%:*}.st"
  grep -qE "^  ${f#*:}$" err || fail "no row \`${f#*:}\` in the table of what differs"
done
expect 0 "nan.st: \`v\` has values that are not finite" "$rtc" run two.rt --in x.st --params nan.st
tensors ints.st v I32 2 $one$one w F32 2 $one$one
refuse 1 "[2] of I32           [2] of floats" "$rtc" run two.rt --in x.st --params ints.st

# ---- tensors of another program ----

printf 'model m\n  v = layer.v\n  w = layer.w\nend\n' >m.map
tensors lacks.st layer.v F32 2 $one$one
tensors more.st layer.v F32 2 $one$one layer.w F32 2 $one$one layer.u F32 1 $one
tensors shape.st layer.v F32 2 $one$one layer.w F32 "1, 2" $one$one
tensors ints.st layer.v I32 2 $one$one layer.w F32 2 $one$one
tensors bools.st layer.v F32 2 $one$one layer.w BOOL 2 0101
for f in lacks:"missing  layer.w  [2]  the model's w" more:"unknown  layer.u  [1]" \
  shape:"shape    layer.w  [1, 2]  the model's is [2]" ints:"dtype    layer.v  [2]  of I32" \
  bools:"dtype    layer.w  [2]  of BOOL"; do
  refuse 1 "${f#*:}" "$rtc" convert two.rt --from ./m.map "${f%%:*}.st" -o converted.st
  grep -q "nothing was written" err || fail "it isn't said that nothing was written"
  [ ! -e converted.st ] || fail "a file that doesn't fit was converted: $f"
done
expect 0 "" "$rtc" convert two.rt --to ./m.map ok.st -o theirs.st
refuse 1 "unknown  layer.v" "$rtc" convert two.rt --to ./m.map theirs.st -o converted.st
printf 'model m\n  v layer.v\nend\n' >wrong.map
refuse 1 "wrong.map:2:" "$rtc" convert two.rt --from ./wrong.map theirs.st -o converted.st
package=$source_dir/tests/reference/cases/weight_tie.safetensors
other=(--set num_tokens=20 --set dim=16 --set depth=2 --set heads=4 --set dim_head=4 --set max_seq_len=32 --set window_size=8)
refuse 1 "unknown  " "$rtc" convert "$lm" --to routing_transformer "$package" -o converted.st "${other[@]}"
[ ! -e converted.st ] || fail "a state_dict of another configuration was converted"

# ---- masks, contexts and heads ----

small=(--set num_tokens=20 --set dim=4 --set depth=1 --set heads=2 --set dim_head=4 --set max_seq_len=32
  --set window_size=8 --set causal=true --set n_local_attn_heads=2)
mask() { tensors mask.st x I64 "1, 2" $zeros8$zeros8 "$@"; }
refuse_mask() { # TEXT, OPTION
  refuse 1 "$1" "$rtc" run "$lm" "${small[@]}" --in mask.st ${2:+--set "$2"}
}
mask input_mask U8 "1, 3" 010101
refuse_mask "found: [1, 3]"
grep -q "\`time\` is 2 by input \`x\`" err || fail "a mask's message doesn't name what it differs from"
mask input_mask U8 "2" 0101
refuse_mask "input \`input_mask\` has 1 axes"
mask context F32 "1, 1, 4" $one$one$one$one
refuse_mask "input \`context\` is given, but nothing in model routing_lm reads it"
mask context F32 "1, 1, 3" $one$one$one
refuse_mask "expected: [batch, source, 4]" receives_context=true
mask context F32 "1, 1, 4" $one$one$one$one context_mask U8 "1, 2" 0101
refuse_mask "\`source\` is 1 by input \`context\`" receives_context=true
refuse 1 "the input \`context\` is needed here" "$rtc" run "$lm" "${small[@]}" --in in.st --set receives_context=true
for model in routing_lm routing_transformer; do
  refuse 1 "takes 6 values (int[depth])" "$rtc" check $model --set n_local_attn_heads=2,2
  refuse 1 "attention.rt:" "$rtc" check $model --set window_size=100
  grep -q "max_seq_len must be a multiple of window_size" err || fail "a window that doesn't divide isn't named"
  refuse 1 "nothing reads it in this configuration" "$rtc" check $model --set context_window_size=64
done
refuse 1 "--set dec_n_local_attn_heads:1:1" "$rtc" check routing_encdec --set dec_n_local_attn_heads=1,2

# ---- checkpoints ----

resume() { train --out damaged --resume --steps 6 "$@"; }
damage() { rm -rf damaged && cp -r whole damaged; }
for n in 0 7 100 2000 40000; do
  damage
  truncate -s $n damaged/checkpoint.safetensors
  refuse 1 "damaged/checkpoint.safetensors" resume
  refuse 1 "damaged/checkpoint.safetensors" "$rtc" sample damaged
done
damage
sed -i 's/"rtc.step":"4"/"rtc.step":"x"/' damaged/checkpoint.safetensors
refuse 1 "\`rtc.step\` is \`x\`" resume
damage
data=$(($(od -An -tu8 -N8 whole/checkpoint.safetensors) + 8 + 32)) # behind 4 counts of steps
bytes $nan | dd of=damaged/checkpoint.safetensors bs=1 seek=$data conv=notrunc status=none
refuse 1 "\`token\` has values that are not finite" resume
refuse 1 "\`token\` has values that are not finite" "$rtc" sample damaged
expect 0 "xx" "$rtc" sample whole --tokens 2 --prompt "$(repeat x 200)"
expect 0 "1 steps" "$rtc" train "$tiny" --data text.txt --out other --time 16 --steps 1 --set dim=8
damage
cp other/checkpoint.safetensors damaged/
for command in resume "$rtc sample damaged" "$rtc eval damaged --data text.txt"; do
  # shellcheck disable=SC2086
  refuse 1 "[256, 8]             [256, 16]" $command
done
for text in "" "{" "[]" "{}" '{"file": 3}'; do
  damage
  printf '%s' "$text" >damaged/config.json
  refuse 1 "damaged/config.json" resume
  refuse 1 "damaged/config.json" "$rtc" sample damaged
done
damage
sed -i 's/"batch": .*,/"batch": -5,/' damaged/config.json
refuse 1 "\`batch\`" "$rtc" eval damaged --data text.txt
for text in "garbage" "$(head -n 1 whole/log.csv)
1,x,1,1,1,1,1,1"; do
  damage
  printf '%s\n' "$text" >damaged/log.csv
  refuse 1 "damaged/log.csv" resume
  [ "$(cat damaged/log.csv)" = "$text" ] || fail "a damaged log was overwritten"
done
damage
rm damaged/log.csv
expect 0 "a new log begins at step 4" resume
damage
rm damaged/checkpoint.safetensors damaged/best.safetensors
refuse 1 "has no checkpoint.safetensors to go on from" resume
expect 0 "1 steps" train --out damaged --steps 1
refuse 1 "holds a run already" train --out whole
mkdir mine && cp "$tiny" mine/model.rt
refuse 1 "mine/model.rt is there already" train --out mine
same mine/model.rt "$tiny"
[ "$(ls mine)" = model.rt ] || fail "a refused start wrote into a folder of the user's"
refuse 1 "Not a directory" train --out text.txt/run
refuse 1 "not a directory" train --out text.txt
refuse 1 "No such file or directory" train --out missing/run

# ---- disks that are full ----

"$rtc" check "$tiny" >/dev/full 2>err && fail "a full disk went unnoticed by check"
"$rtc" sample whole --tokens 5 >/dev/full 2>err && fail "a full disk went unnoticed by sample"
"$rtc" check "$tiny" >&- 2>err && fail "a closed output went unnoticed"
grep -q "cannot write the output" err || fail "a closed output isn't named"
damage
( # 64 KiB are less than a checkpoint
  ulimit -f 64
  refuse 1 "File too large" resume
  exit $failed
) || failed=1
same damaged/checkpoint.safetensors whole/checkpoint.safetensors
find damaged -name '*.tmp.*' | grep -q . && fail "a failed save left a temporary file"
"$rtc" check "$tiny" <&- >/dev/null 2>&1 || fail "a closed input disturbs"
train --out silent --steps 1 <&- >&- 2>&- || fail "training needs no open streams"
expect 0 "" "$rtc" sample silent --tokens 1
train --out piped --steps 3 --log-every 1 2>&1 | true
exists piped/checkpoint.safetensors

# ---- compilers and caches ----

compiler() { # NAME, WHAT IT DOES: it says its version, and does that
  printf '#!/bin/sh\ncase "$*" in *--version*) echo %s; exit 0 ;; esac\n%s\n' "$1" "$2" >"$1"
  chmod +x "$1"
}
run="$rtc run $tiny --in in.st"
compiler wrong 'echo "error: no such register" >&2; exit 1'
compiler killed 'kill -9 $$'
compiler nothing 'exit 0'
compiler junk 'while [ $# -gt 1 ]; do [ "$1" = -o ] && echo junk >"$2"; shift; done'
# shellcheck disable=SC2086
{
  refuse 1 "no C compiler found" env -u CC PATH= $run
  refuse 1 "CC is \`/nonexistent\`" env CC=/nonexistent $run
  refuse 1 "/bin/false doesn't run" env CC=/bin/false $run
  refuse 1 "was ended by signal 9" env CC="$work/killed" $run
  refuse 1 "made no object" env CC="$work/nothing" $run
  refuse 1 "isn't a shared object" env CC="$work/junk" $run
  refuse 1 "isn't a shared object" env CC="$work/junk" $run
  expect 70 "no such register" env CC="$work/wrong" $run
  kept=$(sed -n 's/.*kept as \(.*\.c\):$/\1/p' err)
  exists "$kept"
  rm -f "$kept"
  refuse 1 "TMPDIR names another" env TMPDIR=/nonexistent $run --no-cache
  expect 0 "text.txt is no directory" env RTC_CACHE_DIR="$work/text.txt" $run
  expect 0 "can't be made" env RTC_CACHE_DIR="$work/text.txt/cache" $run
  [ "$(grep -c warning err)" -eq 1 ] || fail "not one warning of a cache that can't be used"
  mkdir -m 777 open
  expect 0 "can be written by others" env RTC_CACHE_DIR="$work/open" $run
  $run >before
  i=0
  for file in cache/*; do
    case $((i++ % 3)) in
    0) truncate -s 30 "$file" ;;
    1) printf X | dd of="$file" bs=1 seek=60 conv=notrunc status=none ;;
    2) echo more >>"$file" ;;
    esac
  done
  expect 0 "is damaged: made again" $run
  same out before
  $run >after 2>err
  same after before
  grep -q damaged err && fail "a damaged cache entry was not replaced"
  for i in 1 2 3 4 5 6 7 8; do
    env RTC_CACHE_DIR="$work/cold" $run --out "cold$i.st" 2>"cold$i.err" &
  done
  wait
}
small_disk() { # FOLDER, COMMAND...: with a disk of 16 KiB in place of the folder
  unshare -m bash -c 'mount -t tmpfs -o size=16k,mode=700 tmpfs "$1" && shift && exec "$@"' sh "$@"
}
mkdir -m 700 full
if small_disk full true 2>/dev/null; then
  # shellcheck disable=SC2086
  {
    expect 0 "can't be written: No space left" small_disk full env RTC_CACHE_DIR="$work/full" $run
    refuse 1 "is there space in that folder" small_disk full env TMPDIR="$work/full" $run --no-cache
  }
fi
for i in 1 2 3 4 5 6 7 8; do
  same cold1.st cold$i.st
  grep -qv "^compiling: " cold$i.err && fail "one of eight processes on a cold cache says: $(cat cold$i.err)"
done

# ---- signals, and two at once ----

"$rtc" train "$lm" --data text.txt --out early --no-cache 2>/dev/null &
pid=$!
sleep 0.7
kill -TERM $pid
SECONDS=0
wait $pid
[ $? -eq 130 ] || fail "no status 130 after SIGTERM while compiling"
[ $SECONDS -lt 5 ] || fail "compiling went on for $SECONDS s after SIGTERM"
[ -e early ] && fail "a stopped compilation left a run directory"
[ -z "$(ls tmp)" ] || fail "a stopped compilation left $(ls tmp)"

wait_for() { # COMMAND: at most 20 seconds, until it holds
  for ((i = 0; i < 1000; i++)); do
    "$@" 2>/dev/null && return
    sleep 0.02
  done
  fail "waited in vain for: $*"
}
"$rtc" train "$tiny" --data text.txt --out parts --steps 2 --accumulate 1000000 2>/dev/null &
pid=$!
wait_for test -s parts/log.csv
refuse 1 "another rtc is training in parts" "$rtc" train "$tiny" --data text.txt --out parts
kill -INT $pid
SECONDS=0
wait $pid
[ $? -eq 130 ] || fail "no status 130 after SIGINT within a step"
[ $SECONDS -lt 5 ] || fail "a step went on for $SECONDS s after SIGINT"
grep -aq '"rtc.step":"0"' parts/checkpoint.safetensors || fail "half a step was taken"

"$rtc" train "$tiny" --device eval --data text.txt --valid short.txt --out twice --batch 400 \
  --time 64 2>twice.err &
pid=$!
wait_for test -s twice/log.csv
sleep 0.2
kill -INT $pid
sleep 0.2
kill -INT $pid
wait $pid
[ $? -eq 130 ] || fail "no status 130 after a second SIGINT"
grep -q "stopped at once" twice.err || fail "a second SIGINT says nothing"
finish
