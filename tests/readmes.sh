#!/usr/bin/env bash
# Every source file is named by the README of its folder, itself, as `name.*` or by a pattern (`cmd_*.c`). A header
# goes with the file of its name.
cd "$(dirname "$0")/.." || exit 2
bad=0
for folder in ir frontend passes codegen codegen/prelude runtime models tools; do
  words=$(grep -oE '[A-Za-z0-9_*]+\.[a-z*]+' "$folder/README.md" | sort -u)
  for path in "$folder"/*.{c,h,l,y,def,rt,map,sh}; do
    [ -f "$path" ] || continue
    name=${path##*/}
    named=0
    for word in $words; do
      # shellcheck disable=SC2053
      [[ $name == $word || ($name == *.h && ${name%.h}.c == $word) ]] && named=1
    done
    [ $named = 1 ] || { echo "$folder/README.md doesn't name $name"; bad=1; }
  done
done
[ $bad = 0 ] && echo "every source file is named"
exit $bad
