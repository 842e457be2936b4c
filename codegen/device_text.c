/* device_text.c: what CUDA kernel text stands on, under NVRTC and on the host. Contract: codegen.h.
 */
#include "codegen/codegen.h"

extern const char codegen_cuda_text[], codegen_simt_text[];

const char *cuda_prelude(void) { return codegen_cuda_text; }
const char *simt_prelude(void) { return codegen_simt_text; }
