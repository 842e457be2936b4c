#!/usr/bin/env bash
# check.sh: everything that has to hold: builds, runs every test, then every C test again under the sanitizers.
#
#     tools/check.sh [BUILD_DIR]
set -eu
cd "$(dirname "$0")/.."
source tools/packages.sh
build=${1:-build}

build_packages
configure() { # directory, options
  cmake -S . -B "$@" >/dev/null
}
make_all() { # directory
  cmake --build "$1" -j"$(nproc)" -- --no-print-directory >"$1/build.log" 2>&1 || {
    grep -nE 'error|Error' "$1/build.log" | head -n 40 >&2
    exit 1
  }
  grep -n 'warning:' "$1/build.log" | head -n 20 >&2 || true
}

configure "$build"
make_all "$build"
configure "$build-sanitize" -DRTC_SANITIZE=ON -DCMAKE_BUILD_TYPE=Sanitize -DCMAKE_C_FLAGS=-O1
make_all "$build-sanitize"

# Some tests run the plain build only: those of the command line start dozens of processes, and the reference cases
# spend their time in kernels, which the sanitizers don't see.
status=0
ctest --test-dir "$build-sanitize" -j"$(nproc)" -LE cli -E '^reference/[^g]' --output-on-failure -Q \
  -O "$build-sanitize/ctest.log" || status=$?
if [ $status -ne 0 ]; then
  echo "under AddressSanitizer and UndefinedBehaviorSanitizer:" >&2
  cat "$build-sanitize/ctest.log" >&2
fi
ctest --test-dir "$build" -j"$(nproc)" --output-on-failure || status=$?
exit $status
