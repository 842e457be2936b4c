/* IR text: what is printed is read back byte for byte, with the same meaning; mistakes are told
 * with their place; no text crashes the reader. */
#include "tests/ir/ir_test.h"
#include "ir/rand.h"

/* Every op and every kind of line, as graph_print writes them. */
static const char everything[] =
    "rtc-ir 1\n"
    "source 1 \"models/a \\\"b\\\".rt\"\n"
    "source 2 \"nn.rt\"\n"
    "sym b @1:0-4\n"
    "sym t\n"
    "sym 'i7'\n"
    "sym 'a b'\n"
    "region 1 checkpoint @2:7-9\n"
    "region 2 chunk in 1 cut t pieces 4\n"
    "region 3 reversible\n"
    "region 4 step in 3\n"
    "%0:f[b,t] = param \"net.0.w\" @1:10-20\n"
    "%1:i[b,t] = input \"x\"\n"
    "%2:b = fresh \"means\"\n"
    "%3:f[b,(t//4),'i7','a b'] = state \"means\"\n"
    "%4:f = const 0.1\n"
    "%5:f = const -1e-320\n"
    "%6:f = const nan\n"
    "%7:f = const -inf\n"
    "%8:f = const -3.4028234663852886e+38\n"
    "%9:i = const -2147483648\n"
    "%10:b = const true\n"
    "%11:i[t] = idx (i0%4)-1\n"
    "%12:f[b,t] = rand 0x00000000000000ff\n"
    "%13:f[b,t] = neg %0[i0,i1] region 1\n"
    "%14:f[b,t] = abs %13[i0,i1] replay 3 region 2 @2:1-2\n"
    "%15:f[b,t] = exp %0[i0,i1]\n"
    "%16:f[b,t] = log %15[i0,i1]\n"
    "%17:f[b,t] = sqrt %15[i0,i1]\n"
    "%18:f[b,t] = sin %15[i0,i1]\n"
    "%19:f[b,t] = cos %15[i0,i1]\n"
    "%20:f[b,t] = tanh %15[i0,i1]\n"
    "%21:f[b,t] = erf %15[i0,i1]\n"
    "%22:f[b,t] = floor %15[i0,i1]\n"
    "%23:b[b,t] = le %15[i0,i1], %16[i0,i1]\n"
    "%24:b[b,t] = not %23[i0,i1]\n"
    "%25:f[b,t] = cast %1[i0,i1]\n"
    "%26:f[b,t] = stop %25[i0,i1]\n"
    "%27:f[b,t] = add %0[i0,i1], %15[i0,i1]\n"
    "%28:f[b,t] = sub %0[i0,i1], %15[i0,-i1+t-1]\n"
    "%29:f[b,t,t] = mul %0[i0,i1], %15[i0,i2]\n"
    "%30:f[b,t] = div %0[i0,i1], %15[i0,i1]\n"
    "%31:i[b,t] = floordiv %1[i0,i1], %9\n"
    "%32:i[b,t] = mod %1[i0,i1], %9\n"
    "%33:f[b,t] = pow %15[i0,i1], %4\n"
    "%34:f[b,t] = min %0[i0,i1], %15[i0,i1]\n"
    "%35:f[b,t] = max %0[i0,i1], %15[i0,i1]\n"
    "%36:b[b,t] = eq %1[i0,i1], %31[i0,i1]\n"
    "%37:b[b,t] = lt %1[i0,i1], %31[i0,i1]\n"
    "%38:b[b,t] = and %36[i0,i1], %37[i0,i1]\n"
    "%39:b[b,t] = or %36[i0,i1], %37[i0,i1]\n"
    "%40:f[b,t] = select %38[i0,i1], %0[i0,i1], %4\n"
    "%41:f[t,b] = read %0[i1,i0-1] if 0 <= i0-1 < t else %4\n"
    "%42:f[b,t] = read %0[%1[i0,i1],i1] if 0 <= %1[i0,i1] < b and 0 <= 2*i1-3 < 2*t else "
    "%15[i0,i1]\n"
    "%43:f[b,t] = sum over [t] %29[i0,i2,i1]\n"
    "%44:f[b] = rmax over [t] %0[i0,i1]\n"
    "%45:f = rmin over [b,t] %0[i0,i1]\n"
    "%46:i[b,3] = top over [t] %0[i0,i2]\n"
    "%47:f[b,t] = scat over [t] %0[i0,i2] at [-,%1[i0,i2]]\n"
    "%48:f[b,t] = scan along i1 %0[i0,i1]\n"
    "%49:f[b,t] = scan along i0 exclusive reverse %0[i0,i1]\n"
    "%50:f[b,t] = branch %2, %48[i0,i1], %49[i0,i1]\n"
    "%51:f[b,(t//4)] = stop %0[i0,min(4*i1+%46[i0,0],max(2*i0*i1*t-t*t,i1))]\n"
    "input \"x\" %1 optional -0.5 @1:3-4\n"
    "param \"net.0.w\" %0\n"
    "state \"means\" %3\n"
    "root output \"y\" %50[i0,i1] over [b,t]\n"
    "root grad \"net.0.w\" %49[i0,i1] over [b,t] @1:5-6\n"
    "root update \"means\" %3[i0,i1,i2,i3] over [b,(t//4),'i7','a b']\n"
    "root init \"q\" %4 over []\n"
    "check eq0 (t%4) \"t is cut by 4\" @1:5-6\n"
    "check ge0 -b+t \"\\\\ \\x07 \\n\"\n"
    "check range %1[i0,i1] over [b,t] < 256 \"range over [b]\"\n"
    "check true %10 \"host\"\n"
    "step 4 %0[i0,i1], %13[i0,i1], %27[i0,i1] over [b,t]\n"
    "assume %1 < 256\n"
    "fact eq0 (t%4)\n"
    "fact ge0 -b+t\n";

static void every_line(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, everything);
    graph_verify(g, "reading");
    const char *text = text_of(g);
    if (strcmp(text, everything)) {
        size_t n = 0;
        while (text[n] == everything[n]) n++;
        while (n > 0 && text[n - 1] != '\n') n--;
        fail_msg("read:    %.*s\nprinted: %.*s", (int)strcspn(everything + n, "\n"), everything + n,
                 (int)strcspn(text + n, "\n"), text + n);
    }
    for (int op = 0; op < OP_COUNT; op++) {
        bool seen = false;
        for (int i = 0; i < g->nodes.n; i++) seen = seen || g->nodes.v[i]->op == (Op)op;
        if (!seen) fail_msg("no line has the op %s", op_info[op].name);
    }
    assert_int_equal(g->nodes.v[14]->region, 2);
    assert_int_equal(g->nodes.v[14]->replay, 3);
    assert_string_equal(diag_file(d, g->nodes.v[14]->loc), "nn.rt");
    assert_int_equal(g->nodes.v[14]->loc.end, 2);
    graph_free(g);
    diag_free(d);
}

/* The text in a new session, printed again. */
static void expect_stable(const char *text)
{
    Diag *d = diag_new();
    Graph *g = graph_of(d, text);
    assert_string_equal(text_of(g), text);
    graph_verify(g, "reading");
    graph_free(g);
    diag_free(d);
}

/* Attention over windows with symbolic sizes, built by the constructors with all identities. */
static Graph *build(Diag *d)
{
    Graph *g = graph_new(d);
    uint32_t other = diag_source(d, "other.rt", "x", 1);
    uint32_t file = diag_source(d, "w.rt", "some model text", 15);
    (void)other;
    g->loc = (Loc){file, 2, 6};
    const Ix *b = ix_sym(g, "batch", g->loc), *t = ix_sym(g, "time", NO_LOC), *w = ix_const(g, 4);
    graph_fact_eq0(g, ix_mod(g, t, w, NULL));
    graph_fact_ge0(g, ix_sub(g, t, ix_const(g, 8)));
    const Ix *n = ix_div(g, t, w, NULL), *k = ix_const(g, 16);
    const Space *whole = space_make(g, 3, (const Ix *[]){b, t, k});
    Edge q = graph_leaf(g, OP_param, "q", DT_FLOAT, whole), zero = graph_float(g, 0);
    const Space *s = space_make(g, 5, (const Ix *[]){b, n, w, ix_const(g, 8), k});
    const Ix *at = ix_add(g, ix_scale(g, ix_axis(g, 1), 4), ix_axis(g, 2));
    const Ix *key =
        ix_add(g, ix_scale(g, ix_sub(g, ix_axis(g, 1), ix_const(g, 1)), 4), ix_axis(g, 3));
    Edge qi = graph_access(g, s, whole, q,
                           map_make(g, 3, (const Ix *[]){ix_axis(g, 0), at, ix_axis(g, 4)}), NULL);
    g->region = 0;
    Edge kj = graph_access(
        g, s, whole, q, map_make(g, 3, (const Ix *[]){ix_axis(g, 0), key, ix_axis(g, 4)}), &zero);
    Edge score = graph_reduce(g, OP_sum, s, 4, graph_pw2(g, OP_mul, s, qi, kj));
    const Space *s4 = space_slice(g, s, 0, 4);
    g->loc = (Loc){file, 7, 9};
    Edge seen = graph_pw2(g, OP_le, s4, graph_idx(g, key, s4), graph_idx(g, at, s4));
    score = graph_select(g, s4, seen, score, graph_float(g, LOWEST));
    Edge most = graph_reduce(g, OP_rmax, s4, 3, score);
    Edge e = graph_pw1(g, OP_exp, s4, graph_pw2(g, OP_sub, s4, score, most));
    Edge p = graph_pw2(g, OP_div, s4, e, graph_reduce(g, OP_sum, s4, 3, e));
    Edge best = graph_top(g, s4, 3, p, ix_const(g, 2));
    const Space *ranks = space_make(g, 4, (const Ix *[]){b, n, w, ix_const(g, 2)});
    const Ix *to = ix_load(g, best, ranks);
    Edge y = graph_scat(
        g, space_make(g, 4, (const Ix *[]){b, ix_const(g, 8), n, w}), 2,
        (Edge){q.node,
               map_make(g, 3,
                        (const Ix *[]){ix_axis(g, 0),
                                       ix_add(g, ix_scale(g, ix_axis(g, 2), 4), ix_axis(g, 3)),
                                       ix_const(g, 3)})},
        (const Ix *[]){NULL, ix_subst(g, to,
                                      map_make(g, 4,
                                               (const Ix *[]){ix_axis(g, 0), ix_axis(g, 2),
                                                              ix_axis(g, 3), ix_const(g, 0)}),
                                      s)});
    graph_root(g, ROOT_OUTPUT, "p", p, s4, g->loc);
    graph_root(g, ROOT_OUTPUT, "y", y, space_make(g, 2, (const Ix *[]){b, ix_const(g, 8)}), NO_LOC);
    return g;
}

static void built_graph(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *volatile g = NULL;
    DIAG_TRY(d) { g = build(d); }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    graph_verify(g, "building");
    const char *text = text_of(g);
    expect_stable(text);
    Graph *again = graph_of(d, text);
    assert_string_equal(text_of(again), text);
    double q[2 * 12 * 16];
    for (int i = 0; i < COUNT(q); i++) q[i] = rtc_uniform(1, 2, 3, (uint64_t)i) - 0.5;
    Eval *a = eval_new(g, SIZES(2, 12), 0, 0, false),
         *b = eval_new(again, SIZES(2, 12), 0, 0, false);
    set(a, g, "q", SHAPE(2, 12, 16), q);
    set(b, again, "q", SHAPE(2, 12, 16), q);
    for (int i = 0; i < 2; i++) {
        Tensor x = eval_edge(a, g->roots.v[i].e, g->roots.v[i].space);
        Tensor y = eval_edge(b, again->roots.v[i].e, again->roots.v[i].space);
        assert_true(x.count > 0 && x.count == y.count);
        for (int64_t k = 0; k < x.count; k++) assert_true(at(&x, k) == at(&y, k));
    }
    graph_dce(g);
    graph_verify(g, "dce");
    const char *live = text_of(g);
    expect_stable(live);
    g->rules_on = false;
    graph_rewrite(g, NULL, NULL);
    assert_string_equal(text_of(g), live);
    eval_free(a);
    eval_free(b);
    graph_free(g);
    graph_free(again);
    diag_free(d);
}

static void floats_round_trip(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_new(d);
    uint64_t bits = 1;
    for (int i = 0; i < 500; i++) {
        double v;
        bits = rtc_mix64(bits);
        memcpy(&v, &bits, sizeof v);
        if (!isnan(v)) graph_float(g, i % 2 ? v : (double)(float)v);
    }
    graph_float(g, -0.0);
    graph_float(g, 0.0);
    Graph *again = graph_of(d, text_of(g));
    assert_int_equal(again->nodes.n, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++)
        assert_memory_equal(&again->nodes.v[i]->attr.value.f, &g->nodes.v[i]->attr.value.f,
                            sizeof(double));
    graph_free(g);
    graph_free(again);
    diag_free(d);
}

/* Text by hand: comments, blank lines, gaps in the numbers, any precedence of arithmetic. */
static void by_hand(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d, "rtc-ir 1   # a comment\n\n# another\n  sym t\n%3:f[ t , 6 ] = input \"x\" # here\n"
           "%7:f[t] = neg %3[ i0 , 3 + 2*i0//2 - i0 ]\ninput \"x\" %3");
    assert_string_equal(text_of(g), "rtc-ir 1\nsym t\n%0:f[t,6] = input \"x\"\n"
                                    "%1:f[t] = neg %0[i0,3]\ninput \"x\" %0\n");
    graph_free(g);
    diag_free(d);
}

/* The example of ir/README.md: it is read, and the constructors find it in canonical form. */
static void readme(void **state)
{
    (void)state;
    Diag *d = diag_new();
    static char file[1 << 16];
    FILE *f = fopen(RTC_SOURCE_DIR "/ir/README.md", "r");
    assert_non_null(f);
    size_t n = fread(file, 1, sizeof file - 1, f);
    fclose(f);
    file[n] = 0;
    char *begin = strstr(file, "## Example"), *end;
    assert_non_null(begin);
    begin = strstr(begin, "```\n") + 4;
    end = strstr(begin, "```");
    assert_non_null(end);
    *end = 0;
    Graph *g = graph_of(d, begin);
    const char *text = text_of(g);
    g->rules_on = false;
    graph_rewrite(g, NULL, NULL);
    assert_string_equal(text_of(g), text);
    for (char *hash; (hash = strchr(begin, '#'));) { /* the text itself, without comments */
        char *line_end = strchr(hash, '\n'), *last = hash;
        while (last[-1] == ' ') last--;
        memmove(last, line_end, strlen(line_end) + 1);
    }
    assert_string_equal(begin, text);
    graph_free(g);
    diag_free(d);
}

/* ---- mistakes ---- */

static void mistakes(void **state)
{
    (void)state;
    static const struct { const char *line, *words;
    } wrong[] = {
        {"%4:f[t] = nge %0[i0,0]", "test.ir:7:11: error: `nge` is not an op\n"},
        {"%4:f[t] = nge %0[i0,0]", "hint: `neg`"},
        {"%4:f[t] = neg %0[i1,0]", "7:18: error: i1 is not one of the 1 axes here"},
        {"%4:f[t] = neg %0[i0]", "7:15: error: C3: a value of rank 2 is read at 1 indices"},
        {"%4:f[t] = neg %9[i0,0]", "7:15: error: C1: no node %9 stands above"},
        {"%4:f[t] = neg %0[i0,0", "7:22: error: expected `]`"},
        {"%4:f[t] = neg %0[i0,0] x",
         "7:24: error: expected `@FILE:BEGIN-END` or the end of the line\n"},
        {"%4:f[t] = neg %0[i0,0] @1:2-3", "no `source` line has the number 1"},
        {"%4:f[t] = neg %0[i0,u]", "7:21: error: no `sym` line declares the size `u`"},
        {"%4:f[t] = neg %0[i0,0//0]", "7:24: error: a divisor must be positive"},
        {"%4:f[t] = neg %0[i0,99999999999999999999]",
         "this number must lie in 0..9223372036854775807"},
        {"%4:f[t] = neg %0[i0,9223372036854775807*i0*9]", "does not fit 64 bits"},
        {"%4:f[t] = neg %0[i0,%0[0,0]]", "C5: an index reads a value that is not int"},
        {"%4:f[t,%1[0]] = neg %0[i0,0]", "C2: a size reads a value"},
        {"%4:q[t] = neg %0[i0,0]", "`q` is not a dtype: f, i or b"},
        {"%2:f[t] = neg %0[i0,0]", "7:1: error: nodes stand in the order of their numbers"},
        {"%4:f[t,t] = neg %0[i0,0]", "7:1: error: C9: nothing reads axis i1"},
        {"%4:f[t,1] = neg %0[i0,i1]", "C9: axis i1 has one position"},
        {"%4:i[t] = neg %0[i0,0]", "C7: neg of these operands is float, not int"},
        {"%4:f[t] = add %0[i0,0], %1[i0]", "C8: operand 1 of add is int, not float"},
        {"%4:f[t] = sum %0[i0,0]", "C10: sum reduces no axis"},
        {"%4:f[t] = neg over [4] %0[i0,i1]", "C10: neg reduces no axes, but has 1"},
        {"%4:i[t] = top over [4] %0[i0,i1]", "C11: the operand of top reads the ranks"},
        {"%4:f[t] = scat over [t] %0[i1,0] at [-]", "C12: a scat without a key"},
        {"%4:f[t] = scat over [t] %0[i0,i1] at [%1[i1]]", "C12: a keyed axis is read"},
        {"%4:f[t] = scan along i1 %0[i0,0]", "C13: scan along i1 of rank 1"},
        {"%4:f[t] = read %0[i0,0] else %3", "expected `if`"},
        {"%4:f = branch %2[0], %3, %3", "C3: a value of rank 0 is read at 1 indices"},
        {"%4:f[t] = branch %3, %0[i0,0], %3", "C8: the condition of branch is float"},
        {"%4:f[t] = const 1", "C16: a constant with axes"},
        {"%4:f = const 1x", "expected a number"},
        {"%4:f = param \"\"", "C16: a leaf without a name"},
        {"%4:f = param \"w", "7:14: error: this string does not end on its line"},
        {"%4:f = param \"\\q\"", "after `\\`"},
        {"%4:f[t] = neg %0[i0,0] region 1", "C19: there is no region 1"},
        {"%4:b = const true replay 2", "C20: a leaf is replayed"},
        {"root output \"y\" %0[i0,i1] over [t]", "i1 is not one of the 1 axes here"},
        {"root output \"y\" %0[i0,0]", "expected `over`"},
        {"root outptu \"y\" %3 over []", "hint: `output`"},
        {"check true %3 \"x\"", "7:1: error: C18: check `x`: its value is float, not bool"},
        {"region 2 checkpoint", "this number must lie in 1..1"},
        {"region 1 step in 2",
         "7:1: error: C19: region 1: it lies in region 2, which does not come before"},
        {"input \"y\" %1", "C16: the entry of input `y` is not its leaf"},
        {"%4:f[t] = input \"w\"", "C16: 3 leaves input, 2 of them listed"},
        {"sym t", "7:5: error: the size `t` is declared twice"},
        {"((((", "found: `(`"},
        {"fact eq0 ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((t",
         "more than 64 levels of parentheses"},
    };
    Diag *d = diag_new();
    for (int i = 0; i < COUNT(wrong); i++) {
        const char *text =
            arena_printf(diag_arena(d),
                         "rtc-ir 1\nsym t\n%%0:f[t,4] = input \"x\"\n%%1:i[t] = input \"k\"\n"
                         "%%2:b = fresh \"s\"\n%%3:f = const 1\n%s\n"
                         "input \"x\" %%0\ninput \"k\" %%1\n",
                         wrong[i].line);
        EXPECT_ERROR(d, 1, wrong[i].words,
                     graph_free(graph_parse(d, diag_source(d, "test.ir", text, strlen(text)))));
    }
    EXPECT_ERROR(d, 1, "test.ir:1:1: error: IR text begins with `rtc-ir 1`\n",
                 graph_free(graph_parse(d, diag_source(d, "test.ir", "model x", 7))));
    diag_free(d);
}

/* ---- fuzzing ---- */

static int dice(uint64_t *seed, int n)
{
    *seed = rtc_mix64(*seed);
    return (int)(*seed % (uint64_t)n);
}

/* An edit or two: a byte changed, a piece removed, or copied elsewhere. */
static size_t mutate(char *text, size_t n, size_t room, uint64_t *seed)
{
    static const char likely[] = "%[](),:=-+*/<@0123456789ifb \n\"'\\#";
    for (int edits = 1 + dice(seed, 4) / 3; edits > 0; edits--) {
        size_t at = (size_t)dice(seed, (int)n), length = (size_t)dice(seed, 4);
        if (at + length > n) length = n - at;
        switch (dice(seed, 4)) {
        case 0: text[at] = likely[dice(seed, COUNT(likely) - 1)]; break;
        case 1: text[at] = (char)(1 + dice(seed, 255)); break;
        case 2:
            memmove(text + at, text + at + length, n - at - length);
            n -= length;
            break;
        default: {
            char piece[4];
            size_t to = (size_t)dice(seed, (int)n);
            if (n + length >= room) break;
            memcpy(piece, text + at, length);
            memmove(text + to + length, text + to, n - to);
            memcpy(text + to, piece, length);
            n += length;
        }
        }
        if (n < 20) break;
    }
    text[n] = 0;
    return n;
}

/* Was it a graph? Then it prints what it reads. */
static bool survives(const char *text, size_t n)
{
    Diag *d = diag_new();
    Graph *volatile g = NULL;
    DIAG_TRY(d) { g = graph_parse(d, diag_source(d, "fuzz.ir", text, n)); }
    DIAG_CATCH(d) { assert_int_equal(diag_status(d), 1); }
    DIAG_END(d)
    bool good = g != NULL;
    if (good) {
        graph_verify(g, "reading");
        const char *first = text_of(g);
        Graph *again = graph_of(d, first);
        assert_string_equal(text_of(again), first);
        graph_free(again);
    }
    graph_free(g);
    diag_free(d);
    return good;
}

static void fuzz(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    static char text[sizeof everything + 64];
    uint64_t seed = 20;
    int good = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(text, everything, sizeof everything);
        good += survives(text, mutate(text, sizeof everything - 1, sizeof text, &seed));
    }
    assert_in_range(good, ROUNDS / 20, ROUNDS - ROUNDS / 20); /* both roads were taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line), cmocka_unit_test(built_graph),
        cmocka_unit_test(floats_round_trip), cmocka_unit_test(by_hand),
        cmocka_unit_test(readme),
        cmocka_unit_test(mistakes), cmocka_unit_test(fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
