#!/usr/bin/env bash
# quickstart.sh: from a fresh checkout to a trained model, in four steps: installs what is missing, configures,
# builds, runs `rtc demo`.
#
#     tools/quickstart.sh [BUILD_DIR]        arguments after -- go to `rtc demo`
set -eu
cd "$(dirname "$0")/.."
source tools/packages.sh
if [ "${1-}" = --help ] || [ "${1-}" = -h ]; then
  sed -n '2,5s/^# \{0,1\}//p' tools/quickstart.sh
  exit
fi
build=build
if [ $# -gt 0 ] && [ "$1" != -- ]; then
  build=$1
  shift
fi
[ "${1-}" = -- ] && shift

# step N WHAT COMMAND...: says what it does, shows the end of its output if it fails, and says how long it took.
step() {
  local number=$1 what=$2 begin=$SECONDS log
  shift 2
  log=$(mktemp)
  echo "[$number/4] $what ..." >&2
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    echo "[$number/4] $what failed; its output is in $log" >&2
    exit 1
  }
  rm -f "$log"
  echo "[$number/4] $what: $((SECONDS - begin)) s" >&2
}

# Errors of these say what is needed; they are not kept back.
echo "[1/4] packages: looking for what is missing" >&2
begin=$SECONDS
build_packages
want_packages fortunes
echo "[1/4] packages: $((SECONDS - begin)) s" >&2
step 2 "configuring $build" cmake -S . -B "$build"
step 3 "building rtc with $(nproc) compilers" cmake --build "$build" -j"$(nproc)" --target rtc rtc_shared rtc_help
echo "[4/4] training a small model: rtc demo${*:+ $*}" >&2
begin=$SECONDS
"$build/rtc" demo "$@"
echo "[4/4] training a small model: $((SECONDS - begin)) s; the command is $build/rtc" >&2
