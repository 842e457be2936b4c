/* A transformer of 12 layers, with its gradient: how many groups, how few stored tensors, and how
 * long grouping takes. */
#include "pass_test.h"

enum { LAYERS = 12 };

/* Parameters of layer l get its number. */
static Edge weight(Test *t, const char *name, int l, const char *axes)
{
    char full[64];
    snprintf(full, sizeof full, "%d.%s", l, name);
    return param(t, full, axes);
}

static Edge mean(Test *t, const char *out, const char *red, Edge e, const char *own)
{
    Edge n = graph_float(t->g, 1.0 / (double)t->ext[(int)*red]->c);
    return pw(t, OP_mul, out, reduce(t, OP_sum, out, red, e, own), out, n, "");
}

static Edge layer_norm(Test *t, Edge x, int l, const char *name)
{
    Edge c = pw(t, OP_sub, "btd", x, "btd", mean(t, "bt", "d", x, "btd"), "bt");
    Edge var = mean(t, "bt", "d", pw(t, OP_mul, "btd", c, "btd", c, "btd"), "btd");
    Edge sd =
        pw1(t, OP_sqrt, "bt", pw(t, OP_add, "bt", var, "bt", graph_float(t->g, 1e-5), ""), "bt");
    char gain[32], bias[32];
    snprintf(gain, sizeof gain, "%s.gain", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    Edge y = pw(t, OP_mul, "btd", pw(t, OP_div, "btd", c, "btd", sd, "bt"), "btd",
                weight(t, gain, l, "d"), "d");
    return pw(t, OP_add, "btd", y, "btd", weight(t, bias, l, "d"), "d");
}

static Edge attention(Test *t, Edge x, int l)
{
    Edge q = product(t, "bhte", "d", x, "btd", weight(t, "q", l, "hed"), "hed");
    Edge k = product(t, "bhse", "d", x, "bsd", weight(t, "k", l, "hed"), "hed");
    Edge v = product(t, "bhse", "d", x, "bsd", weight(t, "v", l, "hed"), "hed");
    Edge s = product(t, "bhts", "e", q, "bhte", k, "bhse");
    s = pw(t, OP_mul, "bhts", s, "bhts", graph_float(t->g, 0.125), "");
    const Space *ts = space(t, "bhts");
    Edge later = graph_pw2(t->g, OP_lt, ts, graph_idx(t->g, ix_axis(t->g, 2), ts),
                           graph_idx(t->g, ix_axis(t->g, 3), ts));
    s = graph_select(t->g, ts, later, graph_float(t->g, LOWEST), s);
    Edge m = reduce(t, OP_rmax, "bht", "s", s, "bhts");
    Edge e = pw1(t, OP_exp, "bhts", pw(t, OP_sub, "bhts", s, "bhts", m, "bht"), "bhts");
    Edge p = pw(t, OP_div, "bhts", e, "bhts", reduce(t, OP_sum, "bht", "s", e, "bhts"), "bht");
    Edge y = product(t, "bhte", "s", p, "bhts", v, "bhse");
    return product(t, "btd", "he", y, "bhte", weight(t, "o", l, "dhe"), "dhe");
}

static Edge feed_forward(Test *t, Edge x, int l)
{
    Edge h = product(t, "btf", "d", x, "btd", weight(t, "w1", l, "fd"), "fd");
    h = pw(t, OP_add, "btf", h, "btf", weight(t, "b1", l, "f"), "f");
    Edge cdf =
        pw1(t, OP_erf, "btf",
            pw(t, OP_mul, "btf", h, "btf", graph_float(t->g, 0.7071067811865476), ""), "btf");
    Edge a = pw(t, OP_mul, "btf", h, "btf",
                pw(t, OP_add, "btf", cdf, "btf", graph_float(t->g, 1), ""), "btf");
    Edge y = product(t, "btd", "f", a, "btf", weight(t, "w2", l, "df"), "df");
    return pw(t, OP_add, "btd", y, "btd", weight(t, "b2", l, "d"), "d");
}

static void model(Test *t)
{
    free_axis(t, 'b');
    axis(t, 't', 512);
    axis(t, 's', 512);
    axis(t, 'd', 512);
    axis(t, 'h', 8);
    axis(t, 'e', 64);
    axis(t, 'f', 2048);
    Edge x = input(t, "x", "btd");
    for (int l = 0; l < LAYERS; l++) {
        x = pw(t, OP_add, "btd", x, "btd", attention(t, layer_norm(t, x, l, "ln1"), l), "btd");
        x = pw(t, OP_add, "btd", x, "btd", feed_forward(t, layer_norm(t, x, l, "ln2"), l), "btd");
    }
    Edge dy = input(t, "dy", "btd");
    Edge loss = reduce(t, OP_sum, "", "btd", pw(t, OP_mul, "btd", x, "btd", dy, "btd"), "btd");
    root(t, ROOT_OUTPUT, "y", x, "btd");
    root(t, ROOT_OUTPUT, "loss", loss, "");
}

static void twelve_layers(void **state)
{
    (void)state;
    Test t = graph_test();
    model(&t);
    t.u.hint_default = 4;
    Grouping *gs = differentiated(&t);
    for (int i = 0; i < t.u.stats.n; i++)
        if (getenv("RTC_SHOW"))
            fprintf(stderr, "%-9s %6.1f ms  %d -> %d\n", t.u.stats.v[i].name,
                    1e3 * t.u.stats.v[i].seconds, t.u.stats.v[i].nodes_before,
                    t.u.stats.v[i].nodes_after);
    if (getenv("RTC_SHOW")) fprintf(stderr, "%d products, %d loops\n", products(gs), loops(gs));
    show(&t);
    assert_int_equal(products(gs), 24 * LAYERS); /* 8 products, each with two gradients */
    assert_true(loops(gs) <= 13 * LAYERS + 3);
    assert_true(t.u.stats.v[t.u.stats.n - 1].seconds < 5); /* also under a sanitizer */
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(twelve_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
