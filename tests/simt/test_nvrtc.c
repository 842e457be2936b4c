/* The same kernel texts through NVRTC, for the oldest architecture served, for Hopper and for the
 * newest that the library knows: machine code, and nothing spilled to memory. Where there is no
 * NVRTC, these tests say so and are skipped.
 */
#include "simt_test.h"
#include <string.h>
#include "codegen/codegen.h"
#include "runtime/nvrtc.h"

typedef struct {
    Diag *d;
    Arena *a;
    Nvrtc *nvrtc;
} Place;

static int begin(void **state)
{
    static Place p;
    const char *why = NULL;
    p.d = diag_new();
    p.a = diag_arena(p.d);
    p.nvrtc = nvrtc_open(p.d, p.a, NULL, &why);
    if (!p.nvrtc) print_message("NVRTC is not here, tests that need it are skipped: %s\n", why);
    *state = &p;
    return 0;
}

static int end(void **state)
{
    Place *p = *state;
    nvrtc_close(p->nvrtc);
    diag_free(p->d);
    return 0;
}

static Cubin *compile(Place *p, const char *name, const char *kernels, const char *arch)
{
    const char *text = arena_printf(p->a, "%s#line 1 \"%s\"\n%s", cuda_prelude(), name, kernels);
    Cubin *volatile c = NULL;
    DIAG_TRY(p->d) { c = nvrtc_compile(p->nvrtc, p->a, name, text, arch); }
    DIAG_CATCH(p->d) { return NULL; }
    DIAG_END(p->d)
    return c;
}

static const char *newest(Place *p)
{
    const int *archs;
    int n = nvrtc_archs(p->nvrtc, &archs);
    assert_true(n > 0);
    for (int i = 1; i < n; i++) assert_true(archs[i] > archs[i - 1]);
    return arena_printf(p->a, "sm_%d", archs[n - 1]);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *q = text; (q = strstr(q, what)); q++) n += q == text || q[-1] == '\n';
    return n;
}

static void compiles(Place *p, const char *file)
{
    if (!p->nvrtc) skip();
    const char *archs[] = {"sm_80", "sm_90a", newest(p)};
    char *text = read_kernels(p->d, file);
    int kernels = count(text, "KERNEL(") + count(text, "WRONG(");
    for (int i = 0; i < COUNT(archs); i++) {
        Cubin *c = compile(p, file, text, archs[i]);
        if (!c) fail_msg("%s", diag_text(p->d));
        assert_true(c->size > 64 && !memcmp(c->bytes, "\177ELF", 4));
        if (strstr(c->log, "warning")) fail_msg("%s", c->log);
        assert_int_equal(c->nkernel, kernels);
        for (int k = 0; k < kernels; k++) {
            const CubinKernel *one = &c->kernel[k];
            if (one->spill_stores || one->spill_loads)
                fail_msg("%s spills on %s", one->name, archs[i]);
            assert_true(one->registers >= 8 && one->registers <= 255);
            print_message("%-7s %-18s %3d registers, %5d bytes shared, %d local\n", archs[i],
                          one->name, one->registers, one->shared, one->stack);
        }
    }
}

static void matmul(void **state) { compiles(*state, "matmul.cu"); }
static void softmax(void **state) { compiles(*state, "softmax.cu"); }
static void segments(void **state) { compiles(*state, "segments.cu"); }
static void features(void **state) { compiles(*state, "features.cu"); }
static void wrong_kernels(void **state) { compiles(*state, "wrong.cu"); }

static const CubinKernel *kernel(const Cubin *c, const char *name)
{
    for (int i = 0; i < c->nkernel; i++)
        if (!strcmp(c->kernel[i].name, name)) return &c->kernel[i];
    fail_msg("no kernel %s", name);
    return NULL;
}

/* Each kernel's own numbers: shared memory as declared, spills where too few registers are allowed.
 */
static void resources(void **state)
{
    Place *p = *state;
    if (!p->nvrtc) skip();
    Cubin *c = compile(
        p, "resources.cu",
        "typedef struct { float *x; int n; } A;\n"
        "KERNEL(small, 64, 1, A, a) { __shared__ float s[100]; s[threadIdx.x] = a.x[threadIdx.x];\n"
        "  __syncthreads(); a.x[threadIdx.x] = s[63 - threadIdx.x]; }\n"
        "KERNEL(crowded, 1024, 2, A, a) {\n"
        "  float v[64];\n"
        "  UNROLL for (int i = 0; i < 64; i++) v[i] = a.x[threadIdx.x + i * 1024];\n"
        "  for (int k = 0; k < a.n; k++) {\n"
        "    UNROLL for (int i = 0; i < 64; i++) v[i] = fmaf(v[i], v[(i + 1) % 64], v[(i + 31) % "
        "64]); }\n"
        "  UNROLL for (int i = 0; i < 64; i++) a.x[threadIdx.x + i * 1024] = v[i]; }\n",
        "sm_90a");
    if (!c) fail_msg("%s", diag_text(p->d));
    assert_int_equal(c->nkernel, 2);
    assert_int_equal(kernel(c, "small")->shared, 400);
    assert_int_equal(kernel(c, "small")->spill_stores, 0);
    assert_int_equal(kernel(c, "small")->stack, 0);
    assert_int_equal(kernel(c, "crowded")->registers, 32);
    assert_int_equal(kernel(c, "crowded")->shared, 0);
    assert_true(kernel(c, "crowded")->spill_stores > 0 && kernel(c, "crowded")->spill_loads > 0);
    assert_true(kernel(c, "crowded")->stack > 0);
}

static void says(Place *p, const char *what)
{
    if (!strstr(diag_text(p->d), what)) fail_msg("`%s` is not in: %s", what, diag_text(p->d));
}

static void refused_text_shows_its_lines(void **state)
{
    Place *p = *state;
    if (!p->nvrtc) skip();
    assert_null(compile(p, "bad.cu",
                        "typedef struct { float *x; } A;\nKERNEL(k, 32, 1, A, a)\n{\n"
                        "    a.x[0] = tensor(1);\n}\n",
                        "sm_80"));
    assert_int_equal(diag_status(p->d), 70);
    says(p, "NVRTC refuses bad.cu for sm_80");
    says(p, "bad.cu(4): error");
    says(p, "    3 | {");
    says(p, "    4 |     a.x[0] = tensor(1);");
    diag_reset(p->d);
    /* What the subset leaves out because gcc or NVRTC lacks it. */
    assert_null(compile(p, "bad.cu", "#include <stdint.h>\n", "sm_80"));
    diag_reset(p->d);
}

static void unknown_architectures(void **state)
{
    Place *p = *state;
    if (!p->nvrtc) skip();
    static const char *const bad[] = {"sm_12", "sm_90xy", "compute_80", "", "sm_"};
    for (int i = 0; i < COUNT(bad); i++) {
        assert_null(compile(p, "none.cu", "", bad[i]));
        assert_int_equal(diag_status(p->d), 1);
        says(p, "doesn't compile for `");
        says(p, "sm_80");
        diag_reset(p->d);
    }
    int minor = -1;
    assert_true(nvrtc_version(p->nvrtc, &minor) >= 12 && minor >= 0);
}

static void no_library(void **state)
{
    Place *p = *state;
    const char *why = NULL;
    assert_null(nvrtc_open(p->d, p->a, "/nonexistent/libnvrtc.so", &why));
    assert_non_null(strstr(why, "/nonexistent/libnvrtc.so"));
    why = NULL;
    assert_null(nvrtc_open(p->d, p->a, "libm.so.6", &why));
    assert_non_null(strstr(why, "has no function nvrtcVersion"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul),
        cmocka_unit_test(softmax),
        cmocka_unit_test(segments),
        cmocka_unit_test(features),
        cmocka_unit_test(wrong_kernels),
        cmocka_unit_test(resources),
        cmocka_unit_test(refused_text_shows_its_lines),
        cmocka_unit_test(unknown_architectures),
        cmocka_unit_test(no_library),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
