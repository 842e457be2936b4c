" Vim syntax of .rt; made by tools/gen_editor.sh from frontend/keywords.def.
if exists("b:current_syntax") | finish | endif
syn keyword rtKeyword import module model train fn let param state use if else for in return require aux update init report and or not true false
syn keyword rtReduction sum mean max min argmax argmin softmax any all
syn keyword rtType int float bool string
syn keyword rtPredeclared training aux_loss none lowest pi
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
