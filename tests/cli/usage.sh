#!/usr/bin/env bash
# Exit statuses and messages of wrong calls.
source "$(dirname "$0")/common.sh"

expect 0 "usage" "$rtc" help
expect 0 "--data" "$rtc" help train
expect 0 "--data" "$rtc" train --help
expect 0 "rtc" "$rtc" version
expect 2 "trian" "$rtc" trian
expect 2 "--dat" "$rtc" train "$tiny" --dat f --out d
expect 2 "needs" "$rtc" train "$tiny"
expect 1 "steps" "$rtc" train "$tiny" --data f --out d --steps many
expect 1 "there is no model nothing.rt" "$rtc" check nothing.rt
expect 1 "no such option" "$rtc" check "$tiny" --set dime=3
expect 1 "dim" "$rtc" check "$tiny" --set dim=wide
expect 2 "NAME=VALUE" "$rtc" check "$tiny" --set dim
expect 1 "there is no run directory" "$rtc" sample nowhere
expect 1 "there is no run directory" "$rtc" eval nowhere --data "$tiny"
mkdir empty
expect 1 "isn't a run directory" "$rtc" sample empty
expect 1 "missing.txt" "$rtc" train "$tiny" --data missing.txt --out run --time 16
[ -e run ] && fail "a failed start left a run directory"
echo short >short.txt
expect 1 "--time 64" "$rtc" train "$tiny" --data short.txt --out run
printf 'model m() {\n  fn (x[b]) { return x[b }\n}\n' >broken.rt
expect 1 "broken.rt:2:" "$rtc" check broken.rt
"$rtc" check "$tiny" >/dev/full 2>err && fail "writing to a full disk went unnoticed"
grep -q "cannot write" err || fail "a full disk isn't named"
finish
