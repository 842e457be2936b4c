#!/usr/bin/env bash
# `rtc demo`, briefly: what it shows, what it leaves, and that the commands it suggests are accepted.
source "$(dirname "$0")/common.sh"
make_text text.txt 2000

expect 0 "validation loss   before 5." "$rtc" demo --data text.txt --seconds 1 --out run
grep -aq ">>>" out || fail "no sample"
exists run/model.rt run/config.json run/checkpoint.safetensors run/log.csv run/loss.svg
suggested=$(grep -a '^  [^ ]* sample ' out) || fail "no sample suggested"
eval "$suggested" | grep -aq "^The " || fail "can't run:$suggested"
suggested=$(grep -a '^  [^ ]* train ' out) || fail "no training suggested"
options=$(grep -o -- '--set [^ ]*' <<<"$suggested" | tr '\n' ' ')
eval "\"$rtc\" check routing_lm.rt $options" >/dev/null || fail "can't check with $options"

# A demo may be repeated; another run is not replaced.
sed -i 's/ demo --data/ train --data/' run/config.json
expect 1 "a run that isn't a demo" "$rtc" demo --data text.txt --seconds 1 --out run
finish
