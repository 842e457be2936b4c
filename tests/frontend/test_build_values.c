/* Index statements, accesses and reductions against loops written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/frontend/run.h"

/* A run of `text` with x[b, t] of 2 by 5. */
static Run on_x(const char *text, double *x)
{
    Run r = run_new(text, NULL, false);
    run_size(&r, "b", 2), run_size(&r, "t", 5);
    fill(x, 10, 1);
    run_begin(&r, 1, false);
    run_set(&r, "x", x);
    return r;
}

static void test_contraction(void **state)
{
    (void)state;
    double q[2 * 3 * 4], k[2 * 5 * 4], want[30];
    Run r = run_new("fn f(q[b,i,d], k[b,j,d]) {\n"
                    "  let s[b,i,j] = sum[d] q[b,i,d] * k[b,j,d] * len(d)^-0.5\n  return s\n}\n",
                    NULL, false);
    run_size(&r, "b", 2), run_size(&r, "i", 3), run_size(&r, "j", 5), run_size(&r, "d", 4);
    fill(q, 24, 1), fill(k, 40, 2);
    run_begin(&r, 1, false);
    run_set(&r, "q", q), run_set(&r, "k", k);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 5; j++) {
                double s = 0;
                for (int d = 0; d < 4; d++)
                    s += q[(b * 3 + i) * 4 + d] * k[(b * 5 + j) * 4 + d] / 2;
                want[(b * 3 + i) * 5 + j] = s;
            }
    same(run_output(&r, "s", NULL), want, 30, "s");
    run_free(&r);
}

static void test_softmax_with_condition(void **state)
{
    (void)state;
    double x[10], want[10];
    Run r = on_x(
        "fn f(x[b,t]) {\n  let p[b,t] = softmax[t | t < 2 and b == 0] x[b,t]\n  return p\n}\n", x);
    double z = exp(x[0]) + exp(x[1]);
    for (int i = 0; i < 10; i++)
        want[i] = i < 2 ? exp(x[i]) / z : 0; /* a row that excludes all is 0 */
    same(run_output(&r, "p", NULL), want, 10, "p");
    run_free(&r);
}

static void test_merge_and_split(void **state)
{
    (void)state;
    double x[2 * 3 * 4 * 6], want[2 * 4 * 18];
    Run r = run_new("fn f(x[b,h,t,d]) {\n  let y[b,t,(h d)] = x[b,h,t,d]\n"
                    "  let z[b,h: 3,t,d] = y[b,t,(h d)]\n  let w[(h t d),b] = z[b,h,t,d]\n  return "
                    "y, z, w\n}\n",
                    NULL, false);
    run_size(&r, "b", 2), run_size(&r, "h", 3), run_size(&r, "t", 4), run_size(&r, "d", 6);
    fill(x, 144, 3);
    run_begin(&r, 1, false);
    run_set(&r, "x", x);
    for (int b = 0; b < 2; b++)
        for (int h = 0; h < 3; h++)
            for (int t = 0; t < 4; t++)
                for (int d = 0; d < 6; d++)
                    want[(b * 4 + t) * 18 + h * 6 + d] = x[((b * 3 + h) * 4 + t) * 6 + d];
    same(run_output(&r, "y", NULL), want, 144, "y");
    same(run_output(&r, "z", NULL), x, 144, "z");
    for (int i = 0; i < 72; i++) want[2 * i] = x[i], want[2 * i + 1] = x[72 + i];
    same(run_output(&r, "w", NULL), want, 144, "w");
    run_free(&r);
}

static void test_shift_pad_concatenate(void **state)
{
    (void)state;
    double x[10];
    Run r = on_x("fn f(x[b,t: 5]) {\n"
                 "  let back[b,t]      = x[b,t - 1] else -1\n"
                 "  let pad[b,i: 7]    = x[b,i] else 0\n"
                 "  let crop[b,i: 3]   = x[b,i + 1]\n"
                 "  let two[b,i: 7]    = x[b,i] else x[b,i - len(t)]\n"
                 "  let nest[b,i: 8]   = x[b,i - 2] else (back[b,i] else 9)\n"
                 "  return back, pad, crop, two, nest\n}\n",
                 x);
    double *back = run_output(&r, "back", NULL), *pad = run_output(&r, "pad", NULL),
           *crop = run_output(&r, "crop", NULL);
    double *two = run_output(&r, "two", NULL), *nest = run_output(&r, "nest", NULL);
    for (int b = 0; b < 2; b++) {
        const double *row = x + 5 * b;
        for (int i = 0; i < 5; i++) assert_true(back[5 * b + i] == (i ? row[i - 1] : -1));
        for (int i = 0; i < 7; i++) assert_true(pad[7 * b + i] == (i < 5 ? row[i] : 0));
        for (int i = 0; i < 3; i++) assert_true(crop[3 * b + i] == row[i + 1]);
        for (int i = 0; i < 7; i++) assert_true(two[7 * b + i] == row[i % 5]);
        for (int i = 0; i < 8; i++)
            assert_true(nest[8 * b + i] == (i >= 2 && i < 7 ? row[i - 2]
                                            : i == 0        ? -1
                                            : i == 1        ? row[0]
                                                            : 9));
    }
    run_free(&r);
}

static void test_ranks(void **state)
{
    (void)state;
    const double x[10] = {3, 1, 3, 2, 0, -1, -1, -2, -1, -3};
    const double order[6] = {0, 2, 3, 0, 1, 3}, values[6] = {3, 3, 2, -1, -1, -1},
                 least[4] = {4, 1, 4, 2};
    Run r = run_new("fn f(x[b,t]) {\n"
                    "  let at[b,i: 3]  = argmax[t; i] x[b,t]\n  let v[b,i: 3] = max[t; i] x[b,t]\n"
                    "  let low[b,i: 2] = argmin[t; i] x[b,t]\n  let second[b] = max[t; 1] x[b,t]\n"
                    "  let best = max[b,t] x[b,t]\n  return at, v, low, second, best\n}\n",
                    NULL, false);
    run_size(&r, "b", 2), run_size(&r, "t", 5);
    run_begin(&r, 1, false);
    run_set(&r, "x", x);
    same(run_output(&r, "at", NULL), order, 6, "at");
    same(run_output(&r, "v", NULL), values, 6, "v");
    same(run_output(&r, "low", NULL), (double[]){least[0], least[1], 4, 2}, 4, "low");
    same(run_output(&r, "second", NULL), (double[]){3, -1}, 2, "second");
    same(run_output(&r, "best", NULL), (double[]){3}, 1, "best");
    run_free(&r);
}

static void test_scatter(void **state)
{
    (void)state;
    const double to[8] = {0, 2, 2, 1, 3, 3, 3, 0};
    double x[16], sums[8] = {0}, counts[4] = {0}, means[8];
    Run r = run_new("fn f(x[t,d], score[t,c]) {\n  let to[t] = argmax[c] score[t,c]\n"
                    "  let sums[c,d]  = sum[t | to[t] == c] x[t,d]\n"
                    "  let counts[c]  = sum[t | c == to[t]] 1\n"
                    "  let means[c,d] = mean[t | to[t] == c and t < 6] x[t,d]\n"
                    "  return sums, counts, means\n}\n",
                    NULL, false);
    run_size(&r, "t", 8), run_size(&r, "d", 2), run_size(&r, "c", 4);
    double score[32] = {0};
    for (int t = 0; t < 8; t++) score[4 * t + (int)to[t]] = 1;
    fill(x, 16, 4);
    run_begin(&r, 1, false);
    run_set(&r, "x", x), run_set(&r, "score", score);
    for (int c = 0; c < 4; c++)
        for (int d = 0; d < 2; d++) {
            double some = 0, n = 0;
            for (int t = 0; t < 8; t++) {
                if ((int)to[t] != c) continue;
                sums[2 * c + d] += x[2 * t + d], counts[c] += d == 0;
                if (t < 6) some += x[2 * t + d], n++;
            }
            means[2 * c + d] = n ? some / n : 0;
        }
    same(run_output(&r, "sums", NULL), sums, 8, "sums");
    same(run_output(&r, "counts", NULL), counts, 4, "counts");
    same(run_output(&r, "means", NULL), means, 8, "means");
    bool keyed = false;
    for (int i = 0; i < r.p->graph->nodes.n; i++)
        keyed = keyed || node_is(r.p->graph->nodes.v[i], OP_scat);
    assert_true(keyed); /* not a quadratic choice */
    run_free(&r);
}

static void test_joint_keys(void **state)
{
    (void)state;
    double x[6], want[12] = {0};
    Run r = run_new(
        "fn f(x[n], a[n,i], c[n,j]) {\n  let u[n] = argmax[i] a[n,i]\n  let v[n] = argmax[j] "
        "c[n,j]\n"
        "  let box[i: 3,j: 4] = sum[n | u[n] == i and v[n] == j and n > 0] x[n]\n  return box\n}\n",
        NULL, false);
    run_size(&r, "n", 6), run_size(&r, "i", 3), run_size(&r, "j", 4);
    double a[18] = {0}, c[24] = {0};
    fill(x, 6, 5);
    for (int n = 0; n < 6; n++) {
        a[3 * n + n % 3] = 1, c[4 * n + n % 4] = 1;
        if (n) want[4 * (n % 3) + n % 4] += x[n];
    }
    run_begin(&r, 1, false);
    run_set(&r, "x", x), run_set(&r, "a", a), run_set(&r, "c", c);
    same(run_output(&r, "box", NULL), want, 12, "box");
    run_free(&r);
}

static void test_scans(void **state)
{
    (void)state;
    double x[10];
    Run r = on_x(
        "fn f(x[b,t]) {\n"
        "  let before[b,t] = sum[m | m < t] x[b,m]\n  let upto[b,t] = sum[m | t >= m] x[b,m]\n"
        "  let after[b,t]  = sum[m | m > t] x[b,m]\n  let avg[b,t]  = mean[m | m <= t] x[b,m]\n"
        "  let count[t]    = sum[m: len(t) | m < t] 1\n"
        "  return before, upto, after, avg, count\n}\n",
        x);
    double *before = run_output(&r, "before", NULL), *upto = run_output(&r, "upto", NULL);
    double *after = run_output(&r, "after", NULL), *avg = run_output(&r, "avg", NULL);
    double *count = run_output(&r, "count", NULL);
    int scans = 0;
    for (int i = 0; i < r.p->graph->nodes.n; i++) scans += node_is(r.p->graph->nodes.v[i], OP_scan);
    assert_int_equal(scans, 3); /* avg shares upto's */
    for (int b = 0; b < 2; b++)
        for (int t = 0; t < 5; t++) {
            double sum = 0, rest = 0;
            for (int m = 0; m < 5; m++) *(m < t ? &sum : &rest) += x[5 * b + m];
            double here = x[5 * b + t];
            same(&before[5 * b + t], &sum, 1, "before");
            same(&upto[5 * b + t], (double[]){sum + here}, 1, "upto");
            same(&after[5 * b + t], (double[]){rest - here}, 1, "after");
            same(&avg[5 * b + t], (double[]){(sum + here) / (t + 1)}, 1, "avg");
            assert_true(count[t] == t);
        }
    run_free(&r);
}

static void test_lists(void **state)
{
    (void)state;
    double x[10];
    Run r = on_x("fn f(x[b,t: 5]) {\n  let heads = [0, 3, 0]\n  let w = [1, 2, 3, 4, 5]\n"
                 "  let yes = if any[i] (heads[i] > 0) { 1.0 } else { 0.0 }\n"
                 "  let all_of = if all[i] (heads[i] > 0) { 1.0 } else { 0.0 }\n"
                 "  let total = sum[i] heads[i] * 2\n  let most = max[i] heads[i]\n"
                 "  let s[b] = sum[t] x[b,t] * w[t]\n  let more = len(heads + [1])\n"
                 "  return yes, all_of, total, most, s, more\n}\n",
                 x);
    assert_true(run_output(&r, "yes", NULL)[0] == 1 && run_output(&r, "all_of", NULL)[0] == 0);
    assert_true(run_output(&r, "total", NULL)[0] == 6 && run_output(&r, "most", NULL)[0] == 3);
    assert_true(run_output(&r, "more", NULL)[0] == 4);
    double want[2] = {0};
    for (int i = 0; i < 10; i++) want[i / 5] += x[i] * (i % 5 + 1);
    same(run_output(&r, "s", NULL), want, 2, "s");
    run_free(&r);
}

static void test_sizes_are_exact(void **state)
{
    (void)state;
    const char *text =
        "fn f(x[n]) {\n  let capacity = max(4, min(len(n), int(len(n) * 1.25 / 4)))\n"
        "  let a[i: capacity] = i\n  let c[i: int(len(n) * 0.1) + 1] = 1\n"
        "  let d = if len(n) > 100 { 1.0 } else { 2.0 }\n  return a, c, d\n}\n";
    for (int n = 5; n < 400; n += 79) {
        Run r = run_new(text, NULL, false);
        double *x = calloc((size_t)n, sizeof *x);
        int64_t count;
        run_size(&r, "n", n);
        run_begin(&r, 1, false);
        run_set(&r, "x", x);
        run_output(&r, "a", &count);
        int64_t want = 5 * n / 16 < n ? 5 * n / 16 : n;
        assert_int_equal(count, want < 4 ? 4 : want);
        run_output(&r, "c", &count);
        assert_int_equal(count, n / 10 + 1);
        assert_true(run_output(&r, "d", NULL)[0] == (n > 100 ? 1 : 2));
        free(x);
        run_free(&r);
    }
}

static void test_pointwise_functions_map_over_tensors(void **state)
{
    (void)state;
    double x[10];
    Run r = on_x("fn clip(x, low: float, high: float) = max(low, min(high, x))\n"
                 "fn mix(a, c) { let d = a - c   return d * d }\n"
                 "fn f(x[b: 2,t]) {\n  let y = clip(x, -0.5, 0.5)\n  let z[t] = clip(x[0,t], 0, 1) "
                 "+ mix(x[0,t], x[1,t])\n"
                 "  let w = mix(x, y)\n  let one = clip(3, 0, 1)\n  return y, z, w, one\n}\n",
                 x);
    double *y = run_output(&r, "y", NULL), *z = run_output(&r, "z", NULL),
           *w = run_output(&r, "w", NULL);
    for (int i = 0; i < 10; i++) {
        double c = x[i] < -0.5 ? -0.5 : x[i] > 0.5 ? 0.5 : x[i];
        same(&y[i], &c, 1, "y");
        same(&w[i], (double[]){(x[i] - c) * (x[i] - c)}, 1, "w");
    }
    for (int t = 0; t < 5; t++) {
        double c = x[t] < 0 ? 0 : x[t] > 1 ? 1 : x[t], d = x[t] - x[5 + t];
        same(&z[t], (double[]){c + d * d}, 1, "z");
    }
    assert_true(run_output(&r, "one", NULL)[0] == 1);
    run_free(&r);
}

static void test_gather_from_inputs_is_checked(void **state)
{
    (void)state;
    Run r = run_new("fn f(w[v,d], id[t]: int) {\n  let y[t,d] = w[where(id[t] == -1, 0, id[t]), "
                    "d]\n  return y\n}\n",
                    NULL, false);
    double w[6] = {1, 2, 3, 4, 5, 6};
    run_size(&r, "v", 3), run_size(&r, "d", 2), run_size(&r, "t", 3);
    run_begin(&r, 1, false);
    run_set(&r, "w", w), run_set(&r, "id", (double[]){2, -1, 1});
    same(run_output(&r, "y", NULL), (double[]){5, 6, 1, 2, 3, 4}, 6, "y");
    volatile bool refused = false;
    run_begin(&r, 1, false);
    run_set(&r, "w", w), run_set(&r, "id", (double[]){2, 3, 1});
    DIAG_TRY(r.d) { eval_checks(r.ev); }
    DIAG_CATCH(r.d) { refused = strstr(diag_text(r.d), "must lie inside axis 1 of `w`") != NULL; }
    DIAG_END(r.d)
    assert_true(refused);
    run_free(&r);
}

static void test_leading_axes(void **state)
{
    (void)state;
    double x[24], n2[4] = {0};
    Run r = run_new(
        "import \"nn.rt\"\nfn f(x[a,b,d]) {\n  let y = l2norm(x)\n  let n[a,b] = sum[d] "
        "y[a,b,d]^2\n"
        "  let flat = l2norm(x[0, 0, ..])\n  let m = sum[d] flat[d]^2\n  return y, n, m\n}\n",
        NULL, false);
    run_size(&r, "a", 2), run_size(&r, "b", 2), run_size(&r, "d", 6);
    fill(x, 24, 6);
    run_begin(&r, 1, false);
    run_set(&r, "x", x);
    for (int i = 0; i < 24; i++) n2[i / 6] += x[i] * x[i];
    double *y = run_output(&r, "y", NULL);
    for (int i = 0; i < 24; i++) same(&y[i], (double[]){x[i] / sqrt(n2[i / 6])}, 1, "y");
    same(run_output(&r, "n", NULL), (double[]){1, 1, 1, 1}, 4, "n");
    same(run_output(&r, "m", NULL), (double[]){1}, 1, "m");
    run_free(&r);
}

static void test_replacing_sees_the_old(void **state)
{
    (void)state;
    double x[10], want[10];
    Run r = on_x("fn f(x[b,t]) {\n  let y = x\n  for k in [1, 2] { y[b,t] = y[b,t] + (y[b,t - k] "
                 "else 0) }\n  return y\n}\n",
                 x);
    memcpy(want, x, sizeof want);
    for (int k = 1; k <= 2; k++)
        for (int b = 0; b < 2; b++)
            for (int t = 4; t >= k; t--) want[5 * b + t] += want[5 * b + t - k];
    same(run_output(&r, "y", NULL), want, 10, "y");
    run_free(&r);
}

static void test_empty_means(void **state)
{
    (void)state;
    Run r = run_new(
        "fn f(x[b,t]) {\n  let rest[b,i: len(t) - 1] = x[b,i + 1]\n  let m[b] = mean[i] rest[b,i]\n"
        "  let s[b] = sum[i] rest[b,i]\n  let no = mean[b,t | x[b,t] > 9] x[b,t]\n  return m, s, "
        "no\n}\n",
        NULL, false);
    run_size(&r, "b", 1), run_size(&r, "t", 1);
    run_begin(&r, 1, false);
    run_set(&r, "x", (double[]){5});
    assert_true(run_output(&r, "m", NULL)[0] == 0 && run_output(&r, "s", NULL)[0] == 0);
    assert_true(run_output(&r, "no", NULL)[0] == 0);
    run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contraction),
        cmocka_unit_test(test_softmax_with_condition),
        cmocka_unit_test(test_merge_and_split),
        cmocka_unit_test(test_shift_pad_concatenate),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_scatter),
        cmocka_unit_test(test_joint_keys),
        cmocka_unit_test(test_scans),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_sizes_are_exact),
        cmocka_unit_test(test_pointwise_functions_map_over_tensors),
        cmocka_unit_test(test_gather_from_inputs_is_checked),
        cmocka_unit_test(test_leading_axes),
        cmocka_unit_test(test_replacing_sees_the_old),
        cmocka_unit_test(test_empty_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
