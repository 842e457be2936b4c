#!/usr/bin/env bash
# The example in rtc.h, compiled as it stands against librtc, and run beside the shipped models.
source "$(dirname "$0")/common.sh"
build=$(dirname "$rtc")

sed -n '/^ \*     #include <stdio.h>/,/^ \*     }$/p' "$source_dir/runtime/rtc.h" | sed 's/^ \*     \{0,1\}//; s/^ \*$//' \
  >example.c
[ "$(wc -l <example.c)" -gt 25 ] || fail "no example in rtc.h"
cc -std=c11 -Wall -Wextra -Werror -I"$source_dir/runtime" example.c -L"$build" -lrtc \
  -Wl,-rpath,"$build" -o example || fail "the example doesn't compile"
for model in "$source_dir"/models/*.rt; do ln -s "$model" .; done
expect 0 "logits [2, 64, 256]" ./example
grep -q "^step 0: loss 5\." out || fail "the first loss isn't that of a model that knows nothing"
grep -q "^step 15: loss" out || fail "no 20 steps"
first=$(sed -n 's/^step 0: loss //p' out)
last=$(sed -n 's/^step 15: loss //p' out)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a) }' || fail "the loss rose from $first to $last"
exists trained.safetensors

# Nothing of the library but rtc_* can be seen.
nm -D --defined-only "$build/librtc.so" | awk '$2 ~ /[TDBR]/ {print $3}' | grep -v '^rtc_' >seen
[ -s seen ] && fail "librtc.so shows: $(tr '\n' ' ' <seen)"
finish
