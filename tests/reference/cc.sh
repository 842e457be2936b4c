#!/bin/sh
# The C compiler, but without optimisation: the cases are tiny, their kernels are many.
exec cc "$@" -O0
