#!/usr/bin/env bash
# Which folder may include which: ir <- frontend, ir <- passes <- codegen <- runtime. Of the runtime only the
# headers that name a Program include the front end, and of it only its public header. Argument: the tree.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
bad=0
say() { # what is wrong, where
  [ -z "$2" ] && return
  printf '%s:\n%s\n' "$1" "$2"
  bad=1
}
includes() { grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1"/*.c "$1"/*.h "$1"/*.l "$1"/*.y "$1"/*.def /dev/null 2>/dev/null; }
check() { # folder, allowed folders (regular expression)
  say "$1 may include only $2, each file with its folder" "$(includes "$1" | grep -vE "\"($2)/[a-z_0-9/]+\.(h|def|inc)\"")"
}
check ir 'ir'
check frontend 'ir|frontend'
check passes 'ir|passes'
check codegen 'ir|passes|codegen'
check runtime 'ir|frontend|passes|codegen|runtime'
say 'of the runtime, only these headers may include the front end, by frontend/frontend.h' \
  "$(includes runtime | grep '"frontend/' |
    grep -vE '^runtime/(exec|namemap|rundir|settings)\.h:[0-9]+:#include "frontend/frontend\.h"')"
[ $bad = 0 ] && echo "include direction holds"
exit $bad
