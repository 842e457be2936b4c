#!/usr/bin/env bash
# `rtc check`: tables and JSON.
source "$(dirname "$0")/common.sh"

expect 0 "x[batch, time]: int" "$rtc" check "$tiny"
expect 0 "targets[batch, time]: int   (optional)" "$rtc" check "$tiny"
expect 0 "8,704 numbers" "$rtc" check "$tiny"
expect 0 "share of features dropped" "$rtc" check "$tiny" --options
expect 0 "(default 16)" "$rtc" check "$tiny" --options --set dim=32
expect 0 '"parameters": 8704' "$rtc" check "$tiny" --json
expect 0 '"shape": [' "$rtc" check "$tiny" --json --options
expect 1 "did you mean" "$rtc" check "$tiny" --set optimizer.lrr=1
finish
