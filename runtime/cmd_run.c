/* cmd_run.c: `rtc run`: one execution on tensors from a file. */
#include <jansson.h>
#include <math.h>
#include "runtime/command.h"
#include "runtime/shapes.h"
#include "runtime/tensors.h"

typedef VEC(StEntry) Entries;

/* ---- in ---- */

static Executable *compile(Command *c, Session *s, const StFile *in)
{
    const char **given = NEW_N(c->arena, const char *, in->n + 1);
    InputShape *shapes = NEW_N(c->arena, InputShape, in->n + 1);
    for (int i = 0; i < in->n; i++) {
        const StTensor *t = &in->tensors[i];
        given[i] = t->name;
        shapes[i] = (InputShape){t->name, t->rank, t->shape};
    }
    return session_compile(s,
                           &(SessionCompile){.training = options_given(c->options, OPTION_training),
                                             .want_grad = options_given(c->options, OPTION_grad),
                                             .given = given,
                                             .ngiven = in->n,
                                             .shapes = shapes,
                                             .nshapes = in->n});
}

/* Whole numbers that index something of a known size are checked here, before seconds of compiling;
 * the others when the program runs. */
static void check_positions(Command *c, Session *s, const StFile *in)
{
    const Graph *g = s->program->graph;
    for (int k = 0; k < g->checks.n; k++) {
        const Check *check = &g->checks.v[k];
        const Node *n = check->e.node;
        if (check->kind != CHECK_RANGE || n->op != OP_input || !ix_is_const(check->ix)) continue;
        const StTensor *t = st_find(in, n->attr.leaf.name);
        if (!t || t->rank != n->rank) continue;
        const char *outside = shapes_outside(c->arena, t->name, tensor_read(c->arena, t, DT_INT),
                                             t->rank, t->shape, check->ix->c);
        if (*outside) user_error(c->diag, check->loc, "%s%s", check->text, outside);
    }
}

/* Inputs that the program doesn't read (of outputs that can't be computed) change nothing. */
static Instance *set_inputs(Command *c, Session *s, Executable *e, const StFile *in)
{
    InputShape *shapes = NEW_N(c->arena, InputShape, in->n + 1);
    int n = 0;
    for (int i = 0; i < in->n; i++) {
        const StTensor *t = &in->tensors[i];
        if (exec_reads(e, t->name)) shapes[n++] = (InputShape){t->name, t->rank, t->shape};
    }
    int64_t *dims = NEW_N(c->arena, int64_t, exec_ndims(e) + 1);
    exec_solve(e, shapes, n, dims);
    Instance *instance = exec_instance(e, dims);
    for (int i = 0; i < in->n; i++) {
        const StTensor *t = &in->tensors[i];
        if (!exec_reads(e, t->name)) continue;
        DType dt = session_input(s, t->name)->dt;
        exec_input(instance, t->name, dt, t->rank, t->shape, tensor_read(c->arena, t, dt));
    }
    return instance;
}

/* ---- out ---- */

static Entries collect(Command *c, Session *s, Executable *e, Instance *in)
{
    Entries all = {0};
    Value v;
    for (int i = 0; i < exec_noutputs(e); i++) {
        const char *name = exec_output_name(e, i);
        if (exec_output(in, name, &v)) vec_push(c->arena, &all, tensor_of_value(c->diag, name, &v));
    }
    if (options_given(c->options, OPTION_grad)) {
        for (int i = 0; i < s->store->nparam; i++) {
            const StoreEntry *p = &s->store->param[i];
            const char *name = arena_printf(c->arena, "grad/%s", p->name);
            vec_push(c->arena, &all, tensor_of_param(c->diag, name, p, s->store->grad));
        }
        for (int i = 0; i < s->inputs.n; i++) {
            if (s->inputs.v[i].dt != DT_FLOAT || !exec_grad(in, s->inputs.v[i].name, &v)) continue;
            const char *name = arena_printf(c->arena, "grad/%s", s->inputs.v[i].name);
            vec_push(c->arena, &all, tensor_of_value(c->diag, name, &v));
        }
    }
    if (options_given(c->options, OPTION_training)) {
        store_commit(s->store);
        for (int i = 0; i < s->store->nstate; i++) {
            const StoreEntry *p = &s->store->state[i];
            const char *name = arena_printf(c->arena, "state/%s", p->name);
            vec_push(c->arena, &all, tensor_of_param(c->diag, name, p, s->store->state_value));
        }
    }
    return all;
}

static void print_values(Command *c, const Entries *all)
{
    json_t *root = json_object();
    for (int i = 0; i < all->n; i++) {
        const StEntry *t = &all->v[i];
        int64_t n = tensor_count(t);
        double sum = 0, low = HUGE_VAL, high = -HUGE_VAL;
        for (int64_t k = 0; k < n; k++) {
            double x = tensor_element(t, k);
            sum += x;
            if (!(x >= low)) low = x;
            if (!(x <= high)) high = x;
        }
        const char *shape = st_shape_text(c->arena, t->rank, t->shape);
        double mean = n ? sum / (double)n : 0;
        if (c->json) {
            json_t *sizes = json_array();
            for (int k = 0; k < t->rank; k++)
                json_array_append_new(sizes, json_integer(t->shape[k]));
            json_object_set_new(root, t->name,
                                json_pack("{so so so so}", "shape", sizes, "mean", json_real(mean),
                                          "min", json_real(low), "max", json_real(high)));
        } else if (n == 1) {
            printf("%-32s %.9g\n", t->name, sum);
        } else {
            printf("%-32s %-18s mean %.6g  min %.6g  max %.6g\n", t->name, shape, mean, low, high);
        }
    }
    if (c->json)
        print_json(c, root);
    else
        json_decref(root);
}

/* ---- --expect ---- */

typedef struct {
    const char *name, *problem; /* problem: NULL where both have it in the same shape */
    Difference by;
    bool ok;
} Comparison;

static Comparison compare(Command *c, const Entries *got, const StTensor *want)
{
    Comparison k = {.name = want->name};
    const StEntry *t = NULL;
    for (int i = 0; i < got->n; i++)
        if (!strcmp(got->v[i].name, want->name)) t = &got->v[i];
    if (!t) {
        k.problem = "the model doesn't give it";
        return k;
    }
    size_t bytes = (size_t)t->rank * sizeof *t->shape;
    if (t->rank != want->rank || memcmp(t->shape, want->shape, bytes)) {
        k.problem = arena_printf(c->arena, "shape %s, expected %s",
                                 st_shape_text(c->arena, t->rank, t->shape),
                                 st_shape_text(c->arena, want->rank, want->shape));
        return k;
    }
    double *values = NEW_N(c->arena, double, want->count + 1);
    st_read_f64(want, values);
    k.by = tensor_compare(t, values, options_number(c->options, OPTION_rtol),
                          options_number(c->options, OPTION_atol));
    k.ok = !k.by.beyond;
    return k;
}

static json_t *json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

static void print_comparison(Command *c, const Comparison *k, json_t *list)
{
    if (c->json) {
        json_t *o = json_pack("{ss sb}", "name", k->name, "ok", (int)k->ok);
        if (k->problem) {
            json_object_set_new(o, "problem", json_string(k->problem));
        } else {
            json_object_set_new(o, "absolute", json_number(k->by.largest));
            json_object_set_new(o, "relative", json_number(k->by.relative));
            json_object_set_new(o, "beyond", json_integer(k->by.beyond));
        }
        json_array_append_new(list, o);
    } else if (k->problem) {
        printf("%-4s %-32s %s\n", "BAD", k->name, k->problem);
    } else {
        printf("%-4s %-32s abs %.3g  rel %.3g", k->ok ? "ok" : "BAD", k->name, k->by.largest,
               k->by.relative);
        if (!k->ok)
            printf("  %lld beyond; at element %lld: %.9g, expected %.9g", (long long)k->by.beyond,
                   (long long)k->by.at, k->by.got, k->by.wanted);
        putchar('\n');
    }
}

static int check_expected(Command *c, const Entries *got, const StFile *wanted)
{
    int bad = 0;
    json_t *list = json_array();
    for (int i = 0; i < wanted->n; i++) {
        Comparison k = compare(c, got, &wanted->tensors[i]);
        bad += !k.ok;
        print_comparison(c, &k, list);
    }
    if (c->json)
        print_json(c, json_pack("{sb so}", "ok", (int)!bad, "tensors", list));
    else
        json_decref(list);
    if (bad)
        fprintf(stderr, "error: %d of %d tensors differ from %s\n", bad, wanted->n, wanted->path);
    return bad != 0;
}

/* ---- the command ---- */

static void load_params(Command *c, Session *s, const char *path)
{
    checkpoint_load(c->diag, path, s, NULL);
    const char *broken = checkpoint_broken(s->store);
    if (broken)
        diag_warn(c->diag, NO_LOC, "%s: `%s` has values that are not finite (NaN or infinity)",
                  path, broken);
}

static void release_file(void *file) { st_close(file); }

static StFile *open_file(Command *c, OptionId option)
{
    if (!options_given(c->options, option)) return NEW(c->arena, StFile);
    StFile *f = st_open(c->diag, c->arena, options_text(c->options, option));
    command_keep(c, release_file, f);
    return f;
}

int cmd_run(Command *c)
{
    const Options *o = c->options;
    Diag *d = c->diag;
    StFile *in = open_file(c, OPTION_in), *wanted = open_file(c, OPTION_expect);
    if (options_given(o, OPTION_run_out)) file_require_writable(d, options_text(o, OPTION_run_out));
    Session *s = command_open(c, o->arguments[0]);
    if (options_given(o, OPTION_params)) load_params(c, s, options_text(o, OPTION_params));
    if (in->n) check_positions(c, s, in);
    Executable *e = compile(c, s, in);
    Instance *instance = set_inputs(c, s, e, in);
    say_warnings(c);
    say_compiled(c, e, instance);
    store_begin(s->store);
    exec_run(instance,
             &(RunOptions){.seed = command_seed(c), .fresh = options_given(o, OPTION_training)});
    Entries all = collect(c, s, e, instance);
    if (options_given(o, OPTION_run_out))
        st_write(d, options_text(o, OPTION_run_out), all.v, all.n, NULL, 0);
    if (options_given(o, OPTION_expect)) return check_expected(c, &all, wanted);
    if (!options_given(o, OPTION_run_out) || c->json) print_values(c, &all);
    return 0;
}
