#!/bin/sh
# Writes the editor files rt.vim and rt.tmLanguage.json from frontend/keywords.def.
#   tools/gen_editor.sh [FOLDER]        FOLDER: where to, tools/editor by default
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/tools/editor}
mkdir -p "$out"

# The spellings of one kind of row, divided by $2.
words() {
    sed -n "s/^$1(\"\([a-z_]*\)\".*/\1/p" "$root/frontend/keywords.def" | paste -sd "$2" -
}

cat > "$out/rt.vim" <<END
" Vim syntax of .rt; made by tools/gen_editor.sh from frontend/keywords.def.
if exists("b:current_syntax") | finish | endif
syn keyword rtKeyword $(words KEYWORD ' ')
syn keyword rtReduction $(words REDUCTION ' ')
syn keyword rtType $(words TYPE ' ')
syn keyword rtPredeclared $(words PREDECLARED ' ')
syn match rtNumber "\<\d\+\(\.\d\+\)\?\([eE][+-]\?\d\+\)\?\>"
syn match rtAnnotation "@\s*\w\+"
syn region rtString start=+"+ end=+"+ oneline
syn match rtComment "#.*"
syn match rtDoc "##.*"
hi def link rtKeyword Keyword
hi def link rtReduction Function
hi def link rtType Type
hi def link rtPredeclared Constant
hi def link rtNumber Number
hi def link rtAnnotation PreProc
hi def link rtString String
hi def link rtComment Comment
hi def link rtDoc SpecialComment
setlocal commentstring=#\ %s
let b:current_syntax = "rt"
END

cat > "$out/rt.tmLanguage.json" <<END
{
  "name": "rt",
  "scopeName": "source.rt",
  "comment": "made by tools/gen_editor.sh from frontend/keywords.def",
  "fileTypes": ["rt"],
  "patterns": [
    {"name": "comment.line.documentation.rt", "match": "##.*"},
    {"name": "comment.line.number-sign.rt", "match": "#.*"},
    {"name": "string.quoted.double.rt", "match": "\"[^\"]*\""},
    {"name": "keyword.control.rt", "match": "\\\\b($(words KEYWORD '|'))\\\\b"},
    {"name": "support.function.reduction.rt", "match": "\\\\b($(words REDUCTION '|'))\\\\b"},
    {"name": "storage.type.rt", "match": "\\\\b($(words TYPE '|'))\\\\b"},
    {"name": "constant.language.rt", "match": "\\\\b($(words PREDECLARED '|'))\\\\b"},
    {"name": "meta.annotation.rt", "match": "@\\\\s*\\\\w+"},
    {"name": "constant.numeric.rt", "match": "\\\\b\\\\d+(\\\\.\\\\d+)?([eE][+-]?\\\\d+)?\\\\b"},
    {"name": "keyword.operator.rt", "match": "==|!=|<=|>=|//|\\\\.\\\\.|[-+*/%^<>=~|]"}
  ]
}
END
