/* cmd_eval.c: `rtc eval`: how well a trained model predicts other data, or what was held out. */
#include <jansson.h>
#include <math.h>
#include "runtime/answers.h"
#include "runtime/command.h"
#include "runtime/evaluate.h"
#include "runtime/progress.h"

static void show(void *progress, size_t done, size_t windows)
{
    (void)windows;
    progress_step(progress, progress_seconds(), (int64_t)done, "evaluating");
}

/* Element *k and those behind it, nested as the axes from `axis` on are; null where missing. */
static json_t *elements(const Reports *r, int i, int axis, int64_t *k)
{
    const ReportInfo *info = r->v[i].info;
    if (axis == info->rank) {
        double x = reports_mean(r, i, (*k)++);
        return isfinite(x) ? json_real(x) : json_null();
    }
    json_t *list = json_array();
    for (int64_t n = 0; n < info->shape[axis]; n++)
        json_array_append_new(list, elements(r, i, axis + 1, k));
    return list;
}

/* By name: numbers; of a text the text where it holds, null where not. */
static json_t *json_reports(const Reports *r)
{
    json_t *all = json_object();
    for (int i = 0; i < r->n; i++) {
        int64_t k = 0;
        const ReportInfo *info = r->v[i].info;
        json_t *said = info->text && r->v[i].sum[0] > 0 ? json_string(info->text) : json_null();
        json_object_set_new(all, info->name, info->text ? said : elements(r, i, 0, &k));
        if (!info->text) json_decref(said);
    }
    return all;
}

/* answers: NULL, or of pairs. */
static void print_result(Command *c, const Evaluation *e, const Answers *answers, const Reports *r,
                         bool bytes)
{
    double bits = bits_per_token(e->loss);
    double exact = answers ? (double)answers->exact / (double)answers->pairs : 0;
    if (c->json) {
        json_t *root = json_pack("{sf sf sf sf sI}", "loss", e->loss, "bits_per_token", bits,
                                 "perplexity", exp(e->loss), "aux_loss", e->aux_loss, "tokens",
                                 (json_int_t)e->tokens);
        if (root) {
            json_object_set_new(root, "bits_per_byte", bytes ? json_real(bits) : json_null());
            json_object_set_new(root, "reports", json_reports(r));
        }
        if (root && answers) {
            json_object_set_new(root, "pairs", json_integer((json_int_t)answers->pairs));
            json_object_set_new(root, "exact", json_real(exact));
        }
        print_json(c, root);
        return;
    }
    printf("loss            %.4f nats per token\n", e->loss);
    if (bytes) printf("bits per byte   %.4f\n", bits);
    else printf("bits per token  %.4f\n", bits);
    printf("perplexity      %.2f\n", exp(e->loss));
    printf("tokens          %s\n", count_text(c->arena, e->tokens));
    if (answers)
        printf("exact answers   %.2f %%: %s of %s\n", 100 * exact,
               count_text(c->arena, answers->exact), count_text(c->arena, answers->pairs));
    const char *table = reports_table(c->arena, r);
    if (*table) printf("\n%s", table);
}

/* The files that are given, or what the run held out. */
static const Data *open_data(Command *c, const Run *r)
{
    OptionValues given = options_values(c->options, OPTION_eval_data);
    DataOptions o = {.paths = given.v, .npaths = given.n, .valid_share = 1};
    if (!given.n)
        o = (DataOptions){.paths = r->config.data, .npaths = r->config.ndata,
                          .valid_paths = r->config.valid, .nvalid_paths = r->config.nvalid,
                          .valid_share = HELD_OUT};
    return command_data(c, r->session, &o);
}

/* False: interrupted. */
static bool count_answers(Command *c, Session *s, const DataPart *part, Feed *f, Progress *line,
                          Answers *out)
{
    feed_compile_logits(f);
    *out = answers_count(s, part, &(AnswersOptions){.sizes = f->most, .stop = c->stop,
                                                    .progress = line->terminal ? show : NULL,
                                                    .ctx = line});
    progress_pause(line);
    return out->complete;
}

int cmd_eval(Command *c)
{
    const Options *o = c->options;
    const char *name = options_given(o, OPTION_best) ? RUN_BEST : RUN_CHECKPOINT;
    Run r = command_open_run(c, o->arguments[0], name);
    Session *s = r.session;
    const DataPart *part = &open_data(c, &r)->valid;
    data_require(part, 1);
    FeedSizes sizes = {r.config.batch, r.config.time, r.config.source};
    Feed *f = feed_new(c->arena, s, part, &sizes);
    feed_compile(f, false);
    say_warnings(c);
    if (c->verbose) say_compiled(c, s->eval, feed_instance(f, s->eval));

    size_t windows = data_windows(part, sizes.time);
    Progress line = progress_begin(stderr, c->quiet, 0, (int64_t)windows, (int64_t)windows);
    Reports *reports = reports_new(c->arena, exec_program(s->eval));
    Evaluation e = evaluate(s, part, &(EvaluateOptions){
        .reports = reports, .sizes = sizes, .stop = c->stop,
        .progress = line.terminal ? show : NULL, .ctx = &line});
    progress_pause(&line);
    Answers answers = {0};
    bool complete = e.complete;
    if (f->pairs && complete) complete = count_answers(c, s, part, f, &line, &answers);
    if (!e.complete) say(c, "interrupted: what follows covers %lld tokens\n", (long long)e.tokens);
    else if (!complete)
        say(c, "interrupted: the answers are those of %lld pairs\n", (long long)answers.pairs);
    if (e.left_out)
        say(c, "the last %lld tokens are left out: the model takes no window that short\n",
            (long long)e.left_out);
    print_result(c, &e, answers.pairs ? &answers : NULL, reports, data_is_text(part));
    say(c, "%s", reports_notes(c->arena, reports));
    return complete ? 0 : 130;
}
