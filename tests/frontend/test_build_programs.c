/* Programs as wholes: options, instances, states, draws, host choices, annotations, imports, text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/frontend/run.h"
#include "tests/frontend/wrong.h"
#include <sys/stat.h>

#define NONE                                                                                       \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* The message that loading gives; "" if it loads. */
static const char *message_of(Diag *d, LoadOptions o)
{
    const char *volatile message = "";
    DIAG_TRY(d) { program_free(program_load(d, &o)); }
    DIAG_CATCH(d) { message = arena_strdup(diag_arena(d), diag_text(d)); }
    DIAG_END(d)
    return message;
}

static const char *refusal(Diag *d, const char *text, const Override *set)
{
    char path[] = "/tmp/rtc-run-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    LoadOptions o = {
        .path = path, .library = RTC_SOURCE_DIR "/models", .set = set, .training = true};
    while (set && set[o.nset].name) o.nset++;
    const char *m = message_of(d, o);
    unlink(path);
    return m;
}

static void assert_says(const char *message, const char *part)
{
    if (!strstr(message, part)) fail_msg("expected \"%s\" in\n%s", part, message);
}

static int count_nodes(const Graph *g, Op op)
{
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) n += node_is(g->nodes.v[i], op);
    return n;
}

static const StaticValue *option(const Program *p, const char *name)
{
    for (int i = 0; i < p->options.n; i++)
        if (!strcmp(p->options.v[i].name, name)) return &p->options.v[i].value;
    fail_msg("no option `%s`", name);
    return NULL;
}

/* ---- options ---- */

#define PARTS                                                                                      \
    "module part(size: int, twice: int = 2 * size, kind: string = \"a\", each: int[size] = 1) {\n" \
    "  param w[size, twice] = each[0]\n  require kind != \"\", \"kind\"\n"                         \
    "  fn (x[b]) {\n    let y[b] = x[b] * (sum[i,j] w[i,j])\n    return y\n  }\n}\n"

static void test_options(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text =
        PARTS "model m(size: int = 3,  ## how many\n  ..: part) {\n  use p = part(..)\n"
              "  fn (x[batch]) = p(x)\n}\n";
    Program *p =
        run_load(d, text, (Override[]){{"twice", "5"}, {"each", "7"}, NONE}, (LoadOptions){0});
    assert_int_equal(p->options.n, 4);
    assert_string_equal(p->options.v[0].doc, "how many");
    assert_string_equal(p->options.v[3].type, "int[size]");
    assert_true(p->options.v[1].set && !p->options.v[0].set);
    assert_int_equal(option(p, "each")->n, 3);
    assert_int_equal(option(p, "each")->v[2].i, 7);
    assert_int_equal(p->options.v[1].def.i, 6);
    assert_int_equal(p->graph->params.v[0].node->space->ext[1]->c, 5);
    assert_string_equal(p->graph->params.v[0].name, "p.w");
    program_free(p);
    assert_says(refusal(d, text, (Override[]){{"size", "1.5"}, NONE}), "must be of type int");
    assert_says(refusal(d, text, (Override[]){{"sise", "2"}, NONE}), "did you mean `size`?");
    assert_says(refusal(d, text, (Override[]){{"each", "1, 2"}, NONE}), "takes 3 values");
    assert_says(refusal(d, text, (Override[]){{"size", "100000000000000000000"}, NONE}),
                "--set size:1:1");
    diag_free(d);
}

static void test_unread_options(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text =
        PARTS "model m(..: part) {\n  use p = part(.., size = 4)\n  fn (x[batch]) = p(x)\n}\n";
    assert_says(refusal(d, text, (Override[]){{"size", "9"}, NONE}),
                "option `size` is set, but nothing reads it");

    const char *two = PARTS
        "model m(a_..: part, b_..: part, a_size: int = 2, b_size: int = 3, deep: bool = false) {\n"
        "  use one = part(a_.., size = a_size)\n"
        "  if deep { use two = part(b_.., size = b_size) }\n"
        "  fn (x[batch]) = if deep { two(one(x)) } else { one(x) }\n}\n";
    assert_string_equal(refusal(d, two, (Override[]){{"a_twice", "1"}, NONE}), "");
    assert_says(refusal(d, two, (Override[]){{"b_twice", "1"}, NONE}),
                "nothing reads it in this configuration");
    assert_string_equal(refusal(d, two, (Override[]){{"b_twice", "1"}, {"deep", "true"}, NONE}),
                        "");
    /* what only evaluation switches off does not count as unread */
    const char *drop = "import \"nn.rt\"\nmodel m(p: float = 0, q: float = 0) {\n"
                       "  fn (x[batch]) {\n    let y = if training and q > 0 { x * q } else { x }\n"
                       "    return dropout(y, p)\n  }\n}\n";
    Override set[] = {{"p", "0.5"}, {"q", "0.5"}, NONE};
    program_free(run_load(d, drop, set, (LoadOptions){.training = false}));
    diag_free(d);
}

/* An option that isn't set takes the callee's own default, computed in the callee. */
static void test_callee_default(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text =
        PARTS "model m(size: int = 3, ..: part) {\n  use p = part(.., size = size + 1)\n"
              "  fn (x[batch]) = p(x)\n}\n";
    Program *p = run_load(d, text, NULL, (LoadOptions){0});
    const Space *w = p->graph->params.v[0].node->space;
    assert_true(w->ext[0]->c == 4 &&
                w->ext[1]->c == 8); /* twice = 2 * 4, not the 6 that m would compute */
    assert_int_equal(option(p, "twice")->i, 8); /* which is what is shown */
    program_free(p);
    diag_free(d);
}

/* What would never end is refused, whatever the stack and the memory. */
static void test_limits(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *fib = "fn fib(n: int) = if n < 2 { n } else { fib(n - 1) + fib(n - 2) }\n"
                      "fn f(x[b]) = x * fib(60)\n";
    assert_says(refusal(d, fib, NULL), "the program grows without end");
    Str deep = {.arena = diag_arena(d)};
    str_add(&deep, "fn f(n: int, x) = if n == 0 { x } else { ");
    for (int i = 0; i < 200; i++) str_add(&deep, "exp(");
    str_add(&deep, "f(n - 1, x)");
    for (int i = 0; i < 200; i++) str_add(&deep, ")");
    str_add(&deep, " }\nfn g(x[b]) = f(250, x)\n");
    assert_says(refusal(d, deep.s, NULL), "nested too deeply");
    assert_says(refusal(d, "import \"nn.rt\"\nfn f(x[b]) = activation(x, \"swish\")\n", NULL),
                "there is no such activation");
    diag_free(d);
}

/* ---- instances ---- */

static void test_sharing(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text =
        "import \"nn.rt\"\nmodel m(depth: int = 3, tie: bool = true) {\n"
        "  fn owner(i: int) = if tie { 0 } else { i }\n"
        "  for i in 0..depth { use net[owner(i)].f = linear(4, 4) }\n  use unused = linear(4, 4)\n"
        "  fn (x[batch,e: 4]) {\n    let y = x\n    for i in 0..depth { y = net[owner(i)].f(y) }\n"
        "    return y\n  }\n}\n";
    Program *p = run_load(d, text, NULL, (LoadOptions){0});
    assert_int_equal(p->graph->params.n, 2);
    assert_string_equal(p->graph->params.v[0].name, "net.0.f.weight");
    assert_int_equal(p->init->roots.n, 2);
    program_free(p);
    p = run_load(d, text, (Override[]){{"tie", "false"}, NONE}, (LoadOptions){0});
    assert_int_equal(p->graph->params.n, 6);
    assert_string_equal(p->graph->params.v[5].name, "net.2.f.bias");
    program_free(p);
    diag_free(d);
}

/* ---- optional inputs ---- */

static void test_absent_inputs(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text =
        "model m() {\n  fn (x[batch], mask[batch]: bool = true, goal[batch] = none) {\n"
        "    let y[batch] = where(mask[batch], x[batch], 0)\n"
        "    let loss = mean[batch] (y[batch] - goal[batch])^2\n    return y, loss\n  }\n}\n";
    Program *p = run_load(d, text, NULL, (LoadOptions){0});
    assert_int_equal(p->graph->inputs.n, 3);
    assert_true(p->graph->inputs.v[1].optional && p->graph->inputs.v[1].fill == 1);
    assert_true(!p->graph->inputs.v[0].optional && graph_find_root(p->graph, ROOT_OUTPUT, "loss"));
    program_free(p);
    const char *absent[] = {"mask", "goal"};
    p = run_load(d, text, NULL, (LoadOptions){.absent = absent, .nabsent = 2});
    assert_int_equal(p->graph->inputs.n, 1);
    assert_int_equal(count_nodes(p->graph, OP_select), 0);
    assert_null(graph_find_root(p->graph, ROOT_OUTPUT, "loss"));
    assert_true(p->missing.n == 1 && !strcmp(p->missing.v[0].output, "loss") &&
                !strcmp(p->missing.v[0].input, "goal"));
    program_free(p);
    diag_free(d);
}

/* ---- draws ---- */

static void test_dropout_draws_per_element(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text = "import \"nn.rt\"\nfn f(p[i,j], v[j,d]) {\n  let y[i,d] = sum[j] "
                       "dropout(p[i,j], 0.5) * v[j,d]\n"
                       "  return y\n}\n";
    Program *p = run_load(d, text, NULL, (LoadOptions){.training = true});
    for (int i = 0; i < p->graph->nodes.n; i++)
        if (node_is(p->graph->nodes.v[i], OP_rand)) assert_int_equal(p->graph->nodes.v[i]->rank, 2);
    assert_int_equal(count_nodes(p->graph, OP_rand), 1);
    program_free(p);
    diag_free(d);
}

static uint64_t site_of(const Graph *g, int nth)
{
    for (int i = 0; i < g->nodes.n; i++)
        if (node_is(g->nodes.v[i], OP_rand) && nth-- == 0) return g->nodes.v[i]->attr.site;
    fail_msg("no such draw");
    return 0;
}

/* Neither other options nor comments, nor the order of files, shift a draw. */
static void test_sites(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text = "import \"nn.rt\"\nmodel m(depth: int = 2, more: bool = false) {\n"
                       "  fn (x[batch]) {\n    let y = x\n    if more { y = exp(y) }\n"
                       "    for i in 0..depth { y = dropout(y, 0.5) }\n    return y\n  }\n}\n";
    LoadOptions o = {.training = true};
    Program *p = run_load(d, text, NULL, o),
            *q = run_load(d, text, (Override[]){{"more", "true"}, {"depth", "3"}, NONE}, o);
    assert_int_equal(count_nodes(q->graph, OP_rand), 3);
    for (int i = 0; i < 2; i++) assert_true(site_of(p->graph, i) == site_of(q->graph, i));
    assert_true(site_of(p->graph, 0) != site_of(p->graph, 1));
    Program *r = run_load(d, p->text, NULL, o); /* imports inlined */
    for (int i = 0; i < 2; i++) assert_true(site_of(p->graph, i) == site_of(r->graph, i));
    program_free(p), program_free(q), program_free(r);
    diag_free(d);
}

static void test_distributions(void **state)
{
    (void)state;
    Run r = run_new(
        "fn f(x[n: 20000]) {\n  let u[n] = uniform(-1, 3)\n  let z[n] = normal(2, 0.5)\n"
        "  let c[n] = where(bernoulli(0.3), 1, 0)\n  let never[n] = where(bernoulli(0), 1, 0)\n"
        "  let always[n] = where(bernoulli(1), 1, 0)\n  return u, z, c, never, always\n}\n",
        NULL, true);
    run_begin(&r, 3, false);
    const char *name[] = {"u", "z", "c", "never", "always"};
    const double mean[] = {1, 2, 0.3, 0, 1}, var[] = {16.0 / 12, 0.25, 0.21, 0, 0};
    for (int k = 0; k < 5; k++) {
        double *v = run_output(&r, name[k], NULL), m = 0, s = 0;
        for (int i = 0; i < 20000; i++) m += v[i] / 20000, s += v[i] * v[i] / 20000;
        assert_true(fabs(m - mean[k]) < 0.03 && fabs(s - m * m - var[k]) < 0.04);
    }
    run_free(&r);
}

/* ---- states and host choices ---- */

#define COUNTER                                                                                    \
    "module counter() {\n  state n[2] = 5\n  fn (x[b,i: 2]) {\n    init n = x[0, ..]\n"            \
    "    let y[b,i] = x[b,i] + n[i]\n    update n = n * 2\n    aux sum[i] n[i]\n    return y\n  "  \
    "}\n}\n"

static void test_states(void **state)
{
    (void)state;
    const char *text = COUNTER "model m() {\n  use c = counter()\n  fn (x[b: 1,i: 2]) {\n    let y "
                               "= c(c(x))\n    return y\n  }\n}\n";
    const double x[2] = {1, 2}, n[2] = {10, 20};
    Run r = run_new(text, NULL, true);
    assert_string_equal(r.p->graph->states.v[0].name, "c.n");
    for (int fresh = 0; fresh < 2; fresh++) {
        run_begin(&r, 1, fresh);
        run_set(&r, "x", x), run_set(&r, "c.n", n);
        const double *s = fresh ? x : n; /* what reads see */
        same(run_output(&r, "y", NULL), (double[]){1 + 2 * s[0], 2 + 2 * s[1]}, 2, "y");
        same(run_root(&r, ROOT_UPDATE, "c.n", NULL), (double[]){2 * s[0], 2 * s[1]}, 2, "update");
        same(run_output(&r, "aux_loss", NULL), (double[]){2 * (s[0] + s[1])}, 1, "aux");
    }
    run_free(&r);
    r = run_new(text, NULL, false);
    assert_int_equal(count_nodes(r.p->graph, OP_fresh), 0);
    assert_null(graph_find_root(r.p->graph, ROOT_UPDATE, "c.n"));
    run_free(&r);
}

/* One call in three is dropped: the mean is over those that ran. */
static void test_host_choices(void **state)
{
    (void)state;
    const char *text = COUNTER
        "model m() {\n  use a = counter()\n  fn (x[b: 1,i: 2]) {\n"
        "    let dropped[l: 3] = bernoulli(0.5)\n    let y = x\n"
        "    for l in 0..3 {\n      if not dropped[l] { y = a(y) } else { aux 100 }\n    }\n"
        "    let k[l: 3] = where(dropped[l], 1, 0)\n    return y, k\n  }\n}\n";
    const double x[2] = {1, 2}, n[2] = {10, 20};
    Run r = run_new(text, NULL, true);
    assert_true(count_nodes(r.p->graph, OP_branch) > 0);
    bool seen[4] = {false};
    for (int seed = 0; seed < 80; seed++) {
        bool fresh = seed % 2;                           /* the first call that runs takes x */
        run_begin(&r, (uint64_t)seed, fresh);
        run_set(&r, "x", x), run_set(&r, "a.n", n);
        double *k = run_output(&r, "k", NULL), ran = 3 - k[0] - k[1] - k[2];
        const double *s = fresh ? x : n;
        seen[(int)ran] = true;
        same(run_output(&r, "y", NULL), (double[]){1 + ran * s[0], 2 + ran * s[1]}, 2, "y");
        double now[2] = {ran ? 2 * s[0] : n[0], ran ? 2 * s[1] : n[1]};
        same(run_root(&r, ROOT_UPDATE, "a.n", NULL), now, 2, "update");
        double aux = ran * (s[0] + s[1]) + (3 - ran) * 100;
        same(run_output(&r, "aux_loss", NULL), &aux, 1, "aux");
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    run_free(&r);
}

static void test_require_becomes_check_and_fact(void **state)
{
    (void)state;
    Run r = run_new("fn f(x[b,t]) {\n  require len(t) % 4 == 0, \"t in fours\"\n"
                    "  let y[b,n,i: 4] = x[b,(n i)]\n  let z[b,(n i)] = y[b,n,i]\n  let w = z + "
                    "x\n  return w\n}\n",
                    NULL, false);
    assert_int_equal(r.p->graph->checks.n, 1); /* the split and the sum need none of their own */
    volatile bool refused = false;
    run_size(&r, "b", 1), run_size(&r, "t", 6);
    run_begin(&r, 1, false);
    DIAG_TRY(r.d) { eval_checks(r.ev); }
    DIAG_CATCH(r.d) { refused = strstr(diag_text(r.d), "t in fours") != NULL; }
    DIAG_END(r.d)
    assert_true(refused);
    run_free(&r);
}

/* ---- annotations ---- */

static void test_reversible_regions(void **state)
{
    (void)state;
    const char *body = "    for i in 0..2 {\n      if keep[i] { a = a + tanh(c)   c = c + tanh(a) "
                       "}\n    }\n    return a + c\n";
    Diag *d = diag_new();
    const char *text =
        arena_printf(diag_arena(d),
                     "model m() {\n  fn (x[b,i]) {\n    let keep[l: 2] = bernoulli(0.5)\n"
                     "    let a = x\n    let c = x\n    @reversible\n%s  }\n}\n",
                     body);
    Program *p = run_load(d, text, NULL, (LoadOptions){.training = true});
    Graph *g = p->graph;
    int steps = 0;
    for (int i = 1; i < g->regions.n; i++) {
        const Region *r = &g->regions.v[i];
        if (r->kind != REGION_STEP) continue;
        steps++;
        assert_true(g->regions.v[r->parent].kind == REGION_REVERSIBLE);
        assert_true(node_is(r->next.node, OP_branch));
        assert_int_equal(r->delta.node->region, i);
        assert_true(r->next.node->region == r->parent);
    }
    assert_int_equal(steps, 4);
    program_free(p);
    diag_free(d);
}

static void test_chunk_and_checkpoint_regions(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Program *p = run_load(
        d,
        "import \"nn.rt\"\nmodel m() {\n  use f = feed_forward(8)\n  fn (x[b,t,e: 8]) {\n"
        "    @chunk(t, 4) let y = f(x)\n    @checkpoint { let z = f(y)   let w = tanh(z) }\n"
        "    return w\n  }\n}\n",
        NULL, (LoadOptions){0});
    const Graph *g = p->graph;
    assert_int_equal(g->regions.n, 3);
    assert_true(g->regions.v[1].kind == REGION_CHUNK && g->regions.v[2].kind == REGION_CHECKPOINT);
    assert_true(ix_is(g->regions.v[1].chunks, 4));
    int in[3] = {0};
    for (int i = 0; i < g->nodes.n; i++) in[g->nodes.v[i]->region]++;
    assert_true(in[1] > 8 && in[2] > 8);
    program_free(p);
    diag_free(d);
}

/* ---- the train block, text, imports ---- */

static void test_train_block(void **state)
{
    (void)state;
    Diag *d = diag_new();
    const char *text = "model m(dim: int = 4) {\n  fn (x[batch,e: dim]) = x\n}\n"
                       "train {\n  optimizer = adamw(lr = dim^-0.5, betas = [0.9, 0.95])\n"
                       "  schedule = [warmup(100), cosine(to = 0)]\n}\n";
    Override set[] = {{"optimizer.lr", "1e-3"},
                      {"optimizer.eps", "1e-9"},
                      {"clip", "0.5"},
                      {"schedule", "[warmup(5)]"},
                      NONE};
    Program *p = run_load(d, text, set, (LoadOptions){0});
    Str s = {.arena = diag_arena(d)};
    for (int i = 0; i < p->train.n; i++) {
        str_printf(&s, "%s=", p->train.v[i].name);
        static_print(&p->train.v[i].value, &s);
        str_add(&s, ";");
    }
    assert_string_equal(s.s, "optimizer=adamw(lr = 0.001, betas = [0.9, 0.95], eps = 1e-09);"
                             "schedule=[warmup(5)];clip=0.5;");
    program_free(p);
    assert_says(refusal(d, text, (Override[]){{"clop", "1"}, NONE}), "did you mean `clip`?");
    diag_free(d);
}

static void test_text_is_the_same_program(void **state)
{
    (void)state;
    static const char *const names[] = {"mlp", "routing_lm", "routing_transformer",
                                        "routing_encdec"};
    for (int i = 0; i < COUNT(names); i++) {
        Diag *d = diag_new();
        LoadOptions o = {.path =
                             arena_printf(diag_arena(d), RTC_SOURCE_DIR "/models/%s.rt", names[i]),
                         .training = true};
        Program *p = program_load(d, &o);
        Program *q = run_load(d, p->text, NULL, o);
        assert_string_equal(p->model, q->model);
        assert_int_equal(p->graph->nodes.n, q->graph->nodes.n);
        for (int k = 0; k < p->graph->nodes.n; k++) {
            const Node *a = p->graph->nodes.v[k], *b = q->graph->nodes.v[k];
            assert_true(a->op == b->op && a->rank == b->rank && a->space->n == b->space->n);
            if (node_is(a, OP_rand)) assert_true(a->attr.site == b->attr.site);
        }
        program_free(p), program_free(q);
        diag_free(d);
    }
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_imports(void **state)
{
    (void)state;
    char dir[] = "/tmp/rtc-import-XXXXXX";
    assert_non_null(mkdtemp(dir));
    Diag *d = diag_new();
    Arena *a = diag_arena(d);
    const char *lib = arena_printf(a, "%s/lib", dir), *main = arena_printf(a, "%s/main.rt", dir);
    const char *b = arena_printf(a, "%s/b.rt", dir), *l = arena_printf(a, "%s/lib/l.rt", dir);
    const char *up = arena_printf(a, "%s/lib/up.rt", dir);
    mkdir(lib, 0700);
    LoadOptions o = {.path = main, .library = lib};
    put_file(main, "import \"b.rt\"\nimport \"l.rt\"\nmodel m() { fn (x[t]) = one(two(x)) }\n");
    put_file(b, "import \"l.rt\"\nfn one(x) = x + 1\n");
    put_file(l, "fn two(x) = x * 2\n");
    put_file(up, "import \"../b.rt\"\nfn up(x) = x\n");
    assert_string_equal(message_of(d, o), "");
    put_file(b, "import \"main.rt\"\nfn one(x) = x + 1\n");
    assert_says(message_of(d, o), "in a circle");
    assert_says(message_of(d, o), "b.rt imports");
    put_file(main, "import \"up.rt\"\nmodel m() { fn (x[t]) = up(x) }\n");
    assert_says(message_of(d, o), "imports only what lies beside or below it");
    put_file(main, "import \"nowhere.rt\"\nmodel m() { fn (x[t]) = x }\n");
    assert_says(message_of(d, o), "there is no file `nowhere.rt`");
    assert_says(message_of(d, (LoadOptions){.path = "/nonexistent/x.rt"}),
                "can't read /nonexistent/x.rt");
    put_file(main, "model a() { fn (x[t]) = x }\nmodel b() { fn (x[t]) = x + 1 }\n");
    o.model = "a";
    assert_string_equal(message_of(d, o), "");
    o.model = "c";
    assert_says(message_of(d, o), "has no model `c`");
    unlink(main), unlink(b), unlink(l), unlink(up), rmdir(lib), rmdir(dir);
    diag_free(d);
}

/* ---- the models ---- */

static void test_models_load(void **state)
{
    (void)state;
    static const char *const names[] = {
        "mlp", "routing_lm", "routing_transformer", "routing_encdec", "nn", "attention",
        "moe", "pkm",        "transformer",         "extra"};
    for (int i = 0; i < COUNT(names); i++)
        for (int training = 0; training < 2; training++) {
            Diag *d = diag_new();
            LoadOptions o = {
                .path = arena_printf(diag_arena(d), RTC_SOURCE_DIR "/models/%s.rt", names[i]),
                .library = RTC_SOURCE_DIR "/models",
                .training = training};
            const char *m = message_of(d, o);
            if (*m) fail_msg("%s: %s", names[i], m);
            diag_free(d);
        }
}

/* Fresh parameters know nothing: the loss is near the logarithm of the number of tokens. */
static void test_fresh_loss(void **state)
{
    (void)state;
    Run r = {.d = diag_new()};
    Override set[] = {{"num_tokens", "50"},  {"dim", "32"},
                      {"depth", "2"},        {"heads", "4"},
                      {"dim_head", "8"},     {"max_seq_len", "64"},
                      {"window_size", "16"}, {"n_local_attn_heads", "2"},
                      {"causal", "true"},    {"ff_dropout", "0.1"},
                      {"reversible", "true"}};
    LoadOptions o = {.path = RTC_SOURCE_DIR "/models/routing_lm.rt",
                     .set = set,
                     .nset = COUNT(set),
                     .training = true};
    const char *absent[] = {"input_mask", "context", "context_mask"};
    o.absent = absent, o.nabsent = 3;
    DIAG_TRY(r.d) { r.p = program_load(r.d, &o); }
    DIAG_CATCH(r.d) { fail_msg("%s", diag_text(r.d)); }
    DIAG_END(r.d)
    run_size(&r, "batch", 2), run_size(&r, "time", 40);
    run_begin(&r, 7, true);
    Eval *init = eval_new(r.p->init, r.syms, 7, 0, false);
    for (int i = 0; i < r.p->init->roots.n; i++) {
        const Root *root = &r.p->init->roots.v[i];
        Tensor t = eval_edge(init, root->e, root->space);
        eval_set(r.ev, run_leaf(&r, root->name)->node, &t);
    }
    double x[80];
    for (int i = 0; i < 80; i++) x[i] = (7 * i * i + 3 * i) % 50;
    run_set(&r, "x", x), run_set(&r, "targets", x);
    double loss = run_output(&r, "loss", NULL)[0], aux = run_output(&r, "aux_loss", NULL)[0];
    assert_true(fabs(loss - aux - log(50)) < 0.4);
    assert_true(aux > 0 && aux < 1e-3);
    eval_free(init);
    run_free(&r);
}

/* Every whole file in the language reference loads, for training and evaluation. */
static void test_reference_examples(void **state)
{
    (void)state;
    Diag *d = diag_new();
    size_t bytes;
    char *text = wrong_read(diag_arena(d), RTC_SOURCE_DIR "/frontend/README.md", &bytes);
    int n = 0;
    assert_non_null(text);
    for (char *at = text; (at = strstr(at, "\n```rt\n")); n++) {
        at += 7;
        char *end = strstr(at, "\n```");
        const char *block = arena_strndup(diag_arena(d), at, (size_t)(end - at + 1));
        for (int i = 0; i < 4; i++)
            program_free(
                run_load(d, block, NULL, (LoadOptions){.training = i & 1, .reports = i & 2}));
        at = end;
    }
    assert_true(n >= 15);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_unread_options),
        cmocka_unit_test(test_callee_default),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_absent_inputs),
        cmocka_unit_test(test_dropout_draws_per_element),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_host_choices),
        cmocka_unit_test(test_require_becomes_check_and_fact),
        cmocka_unit_test(test_reversible_regions),
        cmocka_unit_test(test_chunk_and_checkpoint_regions),
        cmocka_unit_test(test_train_block),
        cmocka_unit_test(test_text_is_the_same_program),
        cmocka_unit_test(test_imports),
        cmocka_unit_test(test_models_load),
        cmocka_unit_test(test_reference_examples),
        cmocka_unit_test(test_fresh_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
