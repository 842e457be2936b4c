# cmake -DOUT=file.c -DNAME=symbol -DFILES="a;b" -P embed.cmake: the files, one after another, as a C string.
set(hex "")
foreach(file ${FILES})
  file(READ ${file} text HEX)
  string(APPEND hex ${text})
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "const char ${NAME}[] = {\n${bytes}0};\n")
