/* Reports: their means over an evaluation, what is missing, the log of a run, and that a training
 * step without them is the same step. */
#include "lab.h"
#include "runtime/csvlog.h"
#include "runtime/evaluate.h"

/* %s: report statements. The model predicts from the last token alone. */
#define MODEL                                                                                      \
    "module inner(num_tokens: int) {\n"                                                            \
    "  param token[num_tokens, 4] ~ normal(0, 1)\n"                                                \
    "  fn (x[b,t]: int) {\n    let h[b,t,e] = token[x[b,t],e]\n%s    return h\n  }\n}\n"           \
    "model m(num_tokens: int = 256) {\n"                                                           \
    "  use net.inner = inner(num_tokens)\n"                                                        \
    "  fn (x[batch,time]: int, targets[batch,time]: int = none) {\n"                               \
    "    let h = net.inner(x)\n"                                                                   \
    "    let logits[b,t,v] = sum[e] h[b,t,e] * net.inner.token[v,e]\n"                             \
    "    let loss = mean[b,t] (log(sum[v] exp(logits[b,t,v])) - logits[b,t,targets[b,t]])\n"       \
    "    return logits, loss\n  }\n}\n"                                                            \
    "train { optimizer = adamw(lr = 0.01) }\n"

static const char reports[] =
    "    report first = mean[b] x[b,0]\n"
    "    report moment[p: 2,q: 2] = mean[b,t] (x[b,t] * (1 + p)) + q\n"
    "    if len(t) > 8 { report long = mean[b,t] x[b,t] }\n"
    "    report never = where(x[0,0] < 0, 1, lowest)\n"
    "    report big = any[b,t] (x[b,t] > 100), \"has large tokens\"\n"
    "    report huge = any[b,t] (x[b,t] > 300), \"has huge tokens\"\n"
    "    report again = len(t) > 1, \"has large tokens\"\n";

static const char *model(Lab *l, const char *name, const char *with)
{
    return lab_write(l, name, arena_printf(l->a, MODEL, with));
}

/* Tokens 1, 2, 3 ... 150 as a text of bytes. */
static const char *numbers(Lab *l)
{
    char text[150];
    for (int i = 0; i < 150; i++) text[i] = (char)(i + 1);
    const char *path = lab_path(l, "numbers.txt");
    file_save(l->d, path, text, sizeof text);
    return path;
}

static int named(const Reports *r, const char *name)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->v[i].info->name, name)) return i;
    fail_msg("no report `%s`", name);
    return -1;
}

static void means_over_all_windows(void **state)
{
    Lab *l = *state;
    const char *text = numbers(l);
    Session *s = lab_session(l, model(l, "m.rt", reports), NULL, 0);
    Data *data = data_open_all(l->d, l->a, &text, 1, 256);
    session_compile_tokens(s, false, 2, 16);
    Reports *r = reports_new(l->a, exec_program(s->eval));
    EvaluateOptions o = {.sizes = {.batch = 2, .time = 16}, .reports = r};
    for (int twice = 0; twice < 2; twice++) {    /* what was there before doesn't count */
        Evaluation e = evaluate(s, &data->valid, &o);
        assert_int_equal(e.tokens, 149);         /* 9 windows of 16, in twos, then one of 5 */
        double mean = 150 / 2.0, longer = (1 + 144) / 2.0;
        assert_float_equal(reports_mean(r, named(r, "net.inner.long"), 0), longer, 1e-4);
        int moment = named(r, "net.inner.moment");
        assert_float_equal(reports_mean(r, moment, 0), mean, 1e-4);
        assert_float_equal(reports_mean(r, moment, 1), mean + 1, 1e-4);
        assert_float_equal(reports_mean(r, moment, 2), 2 * mean, 1e-4);
        assert_float_equal(reports_mean(r, moment, 3), 2 * mean + 1, 1e-4);
        double firsts = (16 * (1 + 17 + 33 + 49 + 65 + 81 + 97 + 113 + 129) + 5 * 145) / 149.0;
        assert_float_equal(reports_mean(r, named(r, "net.inner.first"), 0), firsts, 1e-4);
        assert_true(isnan(reports_mean(r, named(r, "net.inner.never"), 0)));
    }
    assert_string_equal(reports_notes(l->a, r),
                        "note: has large tokens\n      (net.inner.big and 1 more)\n");
    const char *const *columns = reports_columns(l->a, r);
    assert_int_equal(r->numbers, 7);
    assert_string_equal(columns[0], "net.inner.first");
    assert_string_equal(columns[3], "net.inner.moment[1][0]");
    assert_string_equal(columns[5], "net.inner.long");
    const char *table = reports_table(l->a, r);
    assert_non_null(strstr(table, "net.inner\n"));
    assert_non_null(strstr(table, "  [1][0]         150\n"));
    assert_non_null(strstr(table, "      72.5           -\n"));
    data_close(data);
    session_close(s);
}

static void the_log_has_them_where_it_validates(void **state)
{
    Lab *l = *state;
    const char *text = lab_text(l, 60), *dir = lab_path(l, "run");
    Session *s = lab_session(l, model(l, "m.rt", reports), NULL, 0);
    Data *data = data_open(l->d, l->a, &(DataOptions){.paths = &text, .npaths = 1,
                                                      .valid_share = 0.1, .num_tokens = 256});
    TrainSettings settings = train_settings(l->d, s->program);
    session_compile_tokens(s, true, 2, 16);
    session_compile_tokens(s, false, 2, 16);
    Trainer *t = trainer_new(s, &settings, 7, 6, 1);
    file_make_directory(l->d, dir);
    train(t, &(TrainOptions){.dir = dir, .data = data, .sizes = {.batch = 2, .time = 16},
                             .save_every = 9, .eval_every = 3, .log_every = 1});
    CsvTable table = csvlog_read(l->d, l->a, rundir_path(l->a, dir, RUN_LOG));
    int column = csvlog_column(&table, "net.inner.moment[1][1]");
    int valid = csvlog_column(&table, "valid_loss"), seen = 0;
    assert_true(column > 0 && valid > 0);
    for (int i = 0; i < table.nrows; i++) {
        const double *row = table.values + i * table.ncolumns;
        assert_int_equal(row[column] == CSVLOG_NONE, row[valid] == CSVLOG_NONE);
        assert_true(row[csvlog_column(&table, "net.inner.never")] == CSVLOG_NONE);
        if (row[column] == CSVLOG_NONE) continue;
        assert_in_range((int)row[column], 2 * 32, 2 * 122);
        seen++;
    }
    assert_int_equal(seen, 3);
    data_close(data);
    session_close(s);
}

/* Numbers of kernels, launches and library calls of a training step. */
static void training_costs(Lab *l, const char *file, int cost[3])
{
    Session *s = lab_session(l, file, NULL, 0);
    Executable *e = session_compile_tokens(s, true, 2, 16);
    const Plan *p = exec_plan(e);
    cost[0] = p->kernels.n, cost[1] = p->steps.n, cost[2] = p->buffers.n;
    session_close(s);
}

static void training_steps_are_the_same(void **state)
{
    Lab *l = *state;
    int with[3], without[3];
    training_costs(l, model(l, "with.rt", reports), with);
    training_costs(l, model(l, "without.rt", ""), without);
    for (int i = 0; i < 3; i++) assert_int_equal(with[i], without[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(means_over_all_windows, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(the_log_has_them_where_it_validates, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(training_steps_are_the_same, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
