/* sources.c: kernels as translation units for the compiler, and as files for people. Contract:
 * codegen.h. */
#include "codegen/emit.h"

#include <errno.h>
#include <stdio.h>

extern const char codegen_prelude_text[];

const char *plan_prelude(void) { return codegen_prelude_text; }

/* The kernel's text under its own name. */
static void add_kernel(Str *out, const Kernel *k)
{
    const char *at = strstr(k->text, "KERNEL");
    str_addn(out, k->text, (size_t)(at - k->text));
    str_printf(out, "%s%s\n", k->name, at + strlen("KERNEL"));
}

/* Kernels with small products share the code of their tiles, which a compiler needs long for: they
 * stand together in few units. */
static bool has_products(const Kernel *k) { return strstr(k->text, "rtc_product(") != NULL; }

enum { OTHERS = 1, PRODUCTS = 2 };

/* These kernels as at most n units; returns how many. */
static int add_units(const Plan *p, int which, int n, const char **text)
{
    size_t total = 0, done = 0;
    int units = 0;
    Str s = {.arena = p->arena};
    for (int i = 0; i < p->kernels.n; i++)
        if (which & (has_products(&p->kernels.v[i]) ? PRODUCTS : OTHERS))
            total += strlen(p->kernels.v[i].text);
    for (int i = 0; i < p->kernels.n; i++) {
        if (!(which & (has_products(&p->kernels.v[i]) ? PRODUCTS : OTHERS))) continue;
        if (!s.n) str_add(&s, codegen_prelude_text);
        str_add(&s, "\n");
        add_kernel(&s, &p->kernels.v[i]);
        done += strlen(p->kernels.v[i].text);
        size_t until = units == n - 1 ? total : total / (size_t)n * (size_t)(units + 1);
        if (done < until) continue;
        text[units++] = s.s;
        s = (Str){.arena = p->arena};
    }
    return units;
}

int plan_sources(const Plan *p, int n, const char **text)
{
    enum { PRODUCT_UNITS = 2 };
    if (n <= PRODUCT_UNITS) return add_units(p, OTHERS | PRODUCTS, n, text);
    int units = add_units(p, PRODUCTS, PRODUCT_UNITS, text);
    return units + add_units(p, OTHERS, n - units, text + units);
}

/* ---- for people ---- */

static const char *const phase_name[] = {"forward", "backward", "update"};
static const char *const class_name[] = {"param", "state", "input", "fresh", "temp", "host"};

static void print_size(const Plan *p, int i, Str *out)
{
    str_add(out, ix_text(p->unit->graph, p->ints.v[i]));
}

static void print_product(const Plan *p, const PlanProduct *pr, Str *out)
{
    str_add(out, " [");
    for (int i = 0; i < pr->nbatch; i++) {
        print_size(p, pr->batch[i], out);
        str_add(out, " x ");
    }
    print_size(p, pr->m, out);
    str_add(out, ", ");
    print_size(p, pr->n, out);
    str_add(out, "] over ");
    if (pr->outer >= 0) {
        print_size(p, pr->outer, out);
        str_add(out, " x ");
    }
    print_size(p, pr->k, out);
    if (pr->alpha != 1) str_printf(out, " * %g", pr->alpha);
}

static void print_place(const Plan *p, Loc loc, Str *out)
{
    int col, line = diag_line(p->unit->diag, loc, &col);
    if (line) str_printf(out, "  %s:%d", diag_file(p->unit->diag, loc), line);
}

static void print_step(const Plan *p, int i, Str *out)
{
    const Step *s = &p->steps.v[i];
    str_printf(out, "%4d  %-8s  ", i, i < p->host_steps ? "host" : phase_name[s->phase]);
    if (s->kind == STEP_PRODUCT) {
        str_add(out, "product");
        print_product(p, &s->product, out);
    } else {
        str_printf(out, "%s blocks ", p->kernels.v[s->kernel].name);
        print_size(p, s->blocks, out);
    }
    str_add(out, " :");
    for (int k = 0; k < s->nbuf; k++)
        str_printf(out, "%s %%%d", k == s->nwrite ? " <-" : "", s->buf[k]);
    for (int k = 0; k < s->nwhen; k++)
        str_printf(out, "%s%s%%%d", k ? " and " : "  when ", s->when[k].value ? "" : "not ",
                   s->when[k].buf);
    if (s->what) str_printf(out, "  (%s)", s->what);
    print_place(p, s->loc, out);
    str_add(out, "\n");
}

void plan_print(const Plan *p, Str *out)
{
    str_printf(
        out,
        "# %d steps: %d kernels, %d library calls, %d for values known before launch\n\nbuffers\n",
        p->steps.n, p->kernels.n, p->library_calls, p->host_steps);
    for (int i = 0; i < p->buffers.n; i++) {
        const PlanBuffer *b = &p->buffers.v[i];
        str_printf(out, "%4d  %-6s %-5s ", i, class_name[b->cls],
                   b->dt == DT_FLOAT ? "float"
                   : b->dt == DT_INT ? "int"
                                     : "bool");
        print_size(p, b->count, out);
        str_printf(out, "  steps %d to %d", b->first, b->last);
        if (b->name) str_printf(out, "  %s", b->name);
        str_add(out, "\n");
    }
    str_add(out, "\nsteps\n");
    for (int i = 0; i < p->steps.n; i++) print_step(p, i, out);
    if (p->loops.n) str_add(out, "\nloops\n");
    for (int i = 0; i < p->loops.n; i++) {
        str_printf(out, "      steps %d to %d, pieces ", p->loops.v[i].first, p->loops.v[i].last);
        print_size(p, p->loops.v[i].pieces, out);
        str_add(out, "\n");
    }
    static const char *const kind[] = {"output", "grad", "update", "init"};
    str_add(out, "\nroots\n");
    for (int i = 0; i < p->roots.n; i++)
        str_printf(out, "      %-6s %s = %%%d\n", kind[p->roots.v[i].kind], p->roots.v[i].name,
                   p->roots.v[i].buf);
}

static void save(Diag *d, const char *dir, const char *name, const char *text)
{
    const char *path = arena_printf(diag_arena(d), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f) diag_fail(d, "can't write %s: %s", path, strerror(errno));
    bool ok = fputs(text, f) >= 0;
    if (fclose(f) != 0 || !ok) diag_fail(d, "can't write %s: %s", path, strerror(errno));
}

static void add_comment(const Plan *p, const Kernel *k, Str *out)
{
    Diag *d = p->unit->diag;
    for (int i = 0; i < k->lines.n; i++) {
        const char *text = diag_slice(d, k->lines.v[i]);
        size_t n = strcspn(text, "\n");
        int line = diag_line(d, k->lines.v[i], NULL);
        if (line)
            str_printf(out, "// %s:%d: %.*s\n", diag_file(d, k->lines.v[i]), line, (int)n, text);
    }
}

void plan_emit(const Plan *p, const char *dir)
{
    Diag *d = p->unit->diag;
    Str all = {.arena = p->arena}, plan = {.arena = p->arena};
    save(d, dir, "prelude.h", codegen_prelude_text);
    str_add(&all, "#include \"prelude.h\"\n");
    for (int i = 0; i < p->kernels.n; i++) {
        str_add(&all, "\n");
        add_comment(p, &p->kernels.v[i], &all);
        add_kernel(&all, &p->kernels.v[i]);
    }
    save(d, dir, "kernels.c", all.s);
    plan_print(p, &plan);
    save(d, dir, "plan.txt", plan.s);
}
