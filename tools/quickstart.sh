#!/usr/bin/env bash
# quickstart.sh: from a fresh checkout to a trained model: installs what is missing, builds, runs `rtc demo`.
#
#     tools/quickstart.sh [BUILD_DIR]        arguments after -- go to `rtc demo`
set -eu
cd "$(dirname "$0")/.."
source tools/packages.sh
build=build
if [ $# -gt 0 ] && [ "$1" != -- ]; then
  build=$1
  shift
fi
[ "${1-}" = -- ] && shift

build_packages
want_packages fortunes
[ -f "$build/CMakeCache.txt" ] || cmake -S . -B "$build" >"$build.log" 2>&1 || {
  cat "$build.log" >&2
  exit 1
}
rm -f "$build.log"
echo "building" >&2
cmake --build "$build" -j"$(nproc)" --target rtc rtc_shared -- --no-print-directory >"$build/build.log" 2>&1 || {
  tail -n 40 "$build/build.log" >&2
  exit 1
}
"$build/rtc" demo "$@"
