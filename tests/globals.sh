#!/usr/bin/env bash
# The libraries keep nothing between calls outside of what their caller owns: no variable of theirs can be
# written (tables that only hold addresses lie in .data.rel.ro). Arguments: the static libraries.
set -u
[ $# -gt 0 ] || exit 2
for library in "$@"; do
  objdump -t "$library" >/dev/null || exit 2
done
found=$(objdump -t "$@" | awk '/file format/ { file = $1 }
  !/ d / && / O |\.tbss|\.tdata/ && /[ \t](\.t?data|\.t?bss|\*COM\*|\.data\.rel\.local)(\.[^r]|[ \t])/ && !/__odr_asan/ { print file $NF }')
if [ -n "$found" ]; then
  echo "variables of the libraries that can be written:"
  echo "$found"
  exit 1
fi
echo "no variable can be written"
