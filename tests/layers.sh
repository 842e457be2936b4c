#!/usr/bin/env bash
# Which folder may include which: ir <- frontend, ir <- passes <- codegen <- runtime. The front end is
# included by the runtime's compile entry point alone (and by headers that name a Program).
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0
check() { # folder, allowed folders (regular expression)
  found=$(grep -nE '^#include "' "$1"/*.c "$1"/*.h "$1"/*.l "$1"/*.y 2>/dev/null |
    grep -vE "#include \"($2)/" | grep -vE '#include "[a-z_0-9]+\.(def|inc|h)"$')
  if [ -n "$found" ]; then
    echo "$1 may include only $2:"
    echo "$found"
    bad=1
  fi
}
check ir 'ir'
check frontend 'ir|frontend'
check passes 'ir|passes'
check codegen 'ir|passes|codegen'
check runtime 'ir|frontend|passes|codegen|runtime'
[ $bad = 0 ] && echo "include direction holds"
exit $bad
