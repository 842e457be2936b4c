# shellcheck shell=bash disable=SC2034
# common.sh: sourced by the tests of the command line. $1 is the rtc to test, $2 the source tree.
set -u
rtc=$1
source_dir=$2
tiny=$source_dir/tests/runtime/tiny.rt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
export RTC_CACHE_DIR=$work/cache
failed=0

# A text to train on: sentences with a pattern that can be learnt.
make_text() { # file, lines
  local i
  for ((i = 0; i < $2; i++)); do
    echo "line $((i % 10)) says: the quick brown fox jumps over the lazy dog, $((i % 7)) times."
  done >"$1"
}

fail() {
  echo "FAILED: $*"
  failed=1
}

# expect STATUS TEXT COMMAND...: its exit status, and what its output (stdout and stderr) has in it.
expect() {
  local status=$1 text=$2 got
  shift 2
  "$@" >out 2>err </dev/null
  got=$?
  if [ $got -ne "$status" ]; then
    fail "status $got, not $status: $*"
    cat err
  elif [ -n "$text" ] && ! cat out err | grep -qF -e "$text"; then
    fail "no \`$text\` from: $*"
    cat out err
  fi
}

same() { # files
  cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

exists() {
  for file in "$@"; do
    [ -s "$file" ] || fail "$file is missing or empty"
  done
}

# A run that logs every step has made a few of them; 6 s at most.
await_steps() { # run directory
  local i
  for ((i = 0; i < 600; i++)); do
    [ "$(wc -l 2>/dev/null <"$1/log.csv" || echo 0)" -gt 5 ] && break
    sleep 0.01
  done
}

# tensors FILE {NAME DTYPE SHAPE HEX}...: a safetensors file; HEX are the data's bytes, SHAPE is "2, 8".
tensors() {
  local file=$1 header="{" data="" at=0 bytes
  shift
  while [ $# -gt 0 ]; do
    bytes=$((${#4} / 2))
    [ "$header" != "{" ] && header+=","
    header+="\"$1\":{\"dtype\":\"$2\",\"shape\":[$3],\"data_offsets\":[$at,$((at + bytes))]}"
    data+=$4
    at=$((at + bytes))
    shift 4
  done
  header+="}"
  while [ $((${#header} % 8)) -ne 0 ]; do header+=" "; done
  {
    # shellcheck disable=SC2059
    printf "$(printf '%016x' ${#header} | sed 's/../& /g' | awk '{for (i = 8; i > 0; i--) printf "\\x%s", $i}')"
    printf '%s' "$header"
    # shellcheck disable=SC2059
    printf "$(sed 's/../\\x&/g' <<<"$data")"
  } >"$file"
}

finish() { exit $failed; }
