/* Pairs: files, refusals, the held-out part, the order; batches with padding and masks; training
 * that is resumed; losses, answers. */
#include "lab.h"
#include "runtime/answers.h"
#include "runtime/evaluate.h"
#include "runtime/generate.h"

#define LAB_PAIRS RTC_SOURCE_DIR "/tests/runtime/pairs.rt"

static const PairRules bytes = {.source = {256, 8, "source_len"}, .target = {256, 8, "target_len"}};

static Data *open_pairs(Lab *l, int n, const char *const *paths, double share)
{
    return data_open(l->d, l->a, &(DataOptions){.paths = paths, .npaths = n, .pairs = &bytes,
                                                .valid_share = share});
}

/* n pairs: a word of 1 to 8 letters, and the same in capitals; every `odd`-th ends in Z. */
static const char *write_odd_words(Lab *l, const char *name, int n, int odd)
{
    Str s = {.arena = l->a};
    for (int i = 0; i < n; i++) {
        char word[9] = "", capitals[9] = "";
        int length = 1 + i * 5 % 8;
        for (int k = 0, rest = i; k < length; k++, rest /= 5) {
            word[k] = (char)('a' + (rest + k) % 5);
            capitals[k] = (char)('A' + (rest + k) % 5);
        }
        if (i % odd == odd - 1) capitals[length - 1] = 'Z';
        str_printf(&s, "%s\t%s\n", word, capitals);
    }
    return lab_write(l, name, s.s);
}

static const char *write_words(Lab *l, const char *name, int n)
{
    return write_odd_words(l, name, n, n + 1);
}

static bool is(const unsigned char *p, int n, const char *text)
{
    return (size_t)n == strlen(text) && !memcmp(p, text, (size_t)n);
}

/* ---- files ---- */

static void lines_are_pairs(void **state)
{
    Lab *l = *state;
    const char *paths[] = {lab_write(l, "a", "ab\tcde\r\nf\tg\n"),
                           lab_write(l, "b", "h i\t\xc3\xa9")};
    Data *data = open_pairs(l, 2, paths, 0);
    static const char *const expected[][2] = {{"ab", "cde"}, {"f", "g"}, {"h i", "\xc3\xa9"}};
    assert_int_equal(data->train.n, 3);
    assert_int_equal(data->valid.n, 0);
    for (int i = 0; i < 3; i++) {
        const Pair *p = data_pair(&data->train, (size_t)i);
        assert_true(is(p->source, p->nsource, expected[i][0]));
        assert_true(is(p->target, p->ntarget, expected[i][1]));
    }
    const Pair *p = data_pair(&data->train, 0);
    int32_t source[3], target[5];
    static const int32_t tokens[] = {'a', 'b', TOKEN_END, TOKEN_START, 'c', 'd', 'e', TOKEN_END};
    assert_int_equal(pair_source_tokens(p), 3);
    assert_int_equal(pair_target_tokens(p), 5);
    pair_source(p, source);
    pair_target(p, target);
    assert_memory_equal(source, tokens, sizeof source);
    assert_memory_equal(target, tokens + 3, sizeof target);
    assert_int_equal(data->train.stream->source, 4);
    assert_int_equal(data->train.stream->target, 5);
    data_close(data);
}

typedef struct {
    const char *path;
    const PairRules *rules;
} File;

static void open_file(Lab *l, void *ctx)
{
    const File *f = ctx;
    Data *data = data_open(l->d, l->a, &(DataOptions){.paths = &f->path, .npaths = 1,
                                                      .pairs = f->rules, .valid_share = 0.5});
    data_close(data);
}

static void lines_that_are_no_pairs(void **state)
{
    Lab *l = *state;
    static const PairRules few = {.source = {120, 8, "s"}, .target = {110, 8, "t"}, .pad = 'p'};
    static const struct {
        const char *text, *says;
        const PairRules *rules;
    } cases[] = {
        {"a\tb\nno tab\nc\td\n", ":2: no tab in this line\nexpected: the source, a tab", &bytes},
        {"a\tb\n\nc\td\n", ":2: no tab", &bytes},
        {"a\tb\tc\n", ":1: more than one tab", &bytes},
        {"a\tb\n\tb\n", ":2: the source is empty", &bytes},
        {"a\tb\na\t\n", ":2: the target is empty", &bytes},
        {"a\tb\na\t\r\n", ":2: the target is empty", &bytes},
        {"abcdefghi\tb\n", ":1: the source has 9 bytes, and the model takes 8", &bytes},
        {"a\tbcdefghij\n", ":1: the target has 9 bytes, and the model takes 8", &bytes},
        {"a\tbcdefghij\n", "hint: a larger target_len", &bytes},
        {"a\tb\nx\1y\tb\n", ":2: the source has the byte 1 at place 2, and that stands for the "
                            "start", &bytes},
        {"a\tbc\2\n", ":1: the target has the byte 2 at place 3, and that stands for the end",
         &bytes},
        {"ap\tb\n", "the byte 112 at place 2, and that stands for padding", &few},
        {"az\tb\n", "the byte 122 at place 2, and the model has 120 tokens", &few},
        {"a\tbx\n", "the byte 120 at place 2, and the model has 110 tokens", &few},
        {"", "an empty file; a text of pairs is needed", &bytes},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        File f = {lab_write(l, "bad.tsv", cases[i].text), cases[i].rules};
        const char *error = lab_error(l, open_file, &f);
        lab_says(error, cases[i].says);
        lab_says(error, f.path);
    }
    File tokens = {lab_write(l, "tokens.bin", "abcd"), &bytes};
    lab_says(lab_error(l, open_file, &tokens), "is a token file; the model needs a text of pairs");
}

static void the_last_pairs_are_held_out(void **state)
{
    Lab *l = *state;
    const char *path = write_words(l, "w", 50), *other = write_words(l, "v", 3);
    Data *data = open_pairs(l, 1, &path, 0.1);
    assert_int_equal(data->train.n, 45);
    assert_int_equal(data->valid.n, 5);
    assert_ptr_equal(data_pair(&data->valid, 0), data_pair(&data->train, 0) + 45);
    data_close(data);
    data = data_open(l->d, l->a, &(DataOptions){.paths = &path, .npaths = 1, .valid_paths = &other,
                                                .nvalid_paths = 1, .pairs = &bytes});
    assert_int_equal(data->train.n, 50);
    assert_int_equal(data->valid.n, 3);
    data_close(data);
}

static void require_training(Lab *l, void *path)
{
    const char *paths[] = {path};
    Data *data = open_pairs(l, 1, paths, 0.1);
    data_require(&data->train, 1);
}

static void one_pair_is_too_few(void **state)
{
    Lab *l = *state;
    const char *error = lab_error(l, require_training, (void *)write_words(l, "one", 1));
    lab_says(error, "the training part of");
    lab_says(error, "has no pair (of 1 in all)");
}

/* ---- order ---- */

static void an_epoch_visits_every_pair_once(void **state)
{
    Lab *l = *state;
    enum { N = 37 };
    const char *path = write_words(l, "w", N);
    Data *data = open_pairs(l, 1, &path, 0);
    const DataPart *p = &data->train;
    int moved = 0, other = 0;
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[N] = {0};
        for (uint64_t i = 0; i < N; i++) {
            const Pair *one = data_sample_pair(p, 5, epoch * N + i);
            assert_ptr_equal(one, data_sample_pair(p, 5, epoch * N + i));
            seen[one - data_pair(p, 0)]++;
            moved += one != data_sample_pair(p, 5, (epoch + 1) * N + i);
            other += one != data_sample_pair(p, 6, epoch * N + i);
        }
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    }
    assert_true(moved > 2 * N && other > 2 * N);
    data_close(data);
}

/* ---- batches ---- */

static void short_sides_are_padded_and_masked(void **state)
{
    Lab *l = *state;
    const char *path = lab_write(l, "p", "abc\tx\nd\tyz\n");
    Data *data = open_pairs(l, 1, &path, 1);
    Session *s = lab_session(l, LAB_PAIRS, NULL, 0);
    Feed *f = feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 4});
    assert_true(f->pairs);
    assert_int_equal(feed_window(f, &data->valid, 0), 2);
    static const int32_t src[] = {'a', 'b', 'c', 2, 'd', 2, 0, 0};
    static const int32_t tgt[] = {1, 'x', 2, 0, 1, 'y', 'z', 2};
    static const uint8_t src_mask[] = {1, 1, 1, 1, 1, 1, 0, 0};
    static const uint8_t tgt_mask[] = {1, 1, 1, 0, 1, 1, 1, 1};
    static const struct {
        const char *name;
        const void *data;
        size_t bytes;
    } expected[] = {{"src", src, sizeof src}, {"tgt", tgt, sizeof tgt},
                    {"src_mask", src_mask, 8}, {"tgt_mask", tgt_mask, 8}};
    assert_int_equal(f->n, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(f->in[i].name, expected[i].name);
        assert_int_equal(f->in[i].shape[0], 2);
        assert_int_equal(f->in[i].shape[1], 4);
        assert_memory_equal(f->in[i].data, expected[i].data, expected[i].bytes);
    }
    assert_int_equal(f->targets, 2 + 3);         /* x END, y z END */
    assert_int_equal(feed_window(f, &data->valid, 2), 0);
    data_close(data);
    session_close(s);
}

/* All batches are as long as the longest pair, or longer where it is asked for. */
static void a_pair_looks_the_same_in_every_batch(void **state)
{
    Lab *l = *state;
    const char *path = write_words(l, "w", 12);
    Data *data = open_pairs(l, 1, &path, 1);
    Session *s = lab_session(l, LAB_PAIRS, NULL, 0);
    Feed *f = feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 5});
    Feed *g = feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 1, .source = 20, .time = 30});
    for (size_t first = 0; first < 12; first += 5) {
        int rows = feed_window(f, &data->valid, first);
        assert_int_equal(f->in[0].shape[1], 9);
        assert_int_equal(f->in[1].shape[1], 10);
        for (int r = 0; r < rows; r++) {
            assert_int_equal(feed_window(g, &data->valid, first + (size_t)r), 1);
            assert_int_equal(g->in[0].shape[1], 20);
            assert_int_equal(g->in[1].shape[1], 30);
            const int32_t *in_f = (int32_t *)f->in[0].data + r * 9, *in_g = g->in[0].data;
            for (int i = 0; i < 20; i++) assert_int_equal(in_g[i], i < 9 ? in_f[i] : 0);
        }
    }
    data_close(data);
    session_close(s);
}

static void a_part_is_covered_in_order(void **state)
{
    Lab *l = *state;
    const char *path = write_words(l, "w", 20);
    Data *data = open_pairs(l, 1, &path, 1);
    Session *s = lab_session(l, LAB_PAIRS, NULL, 0);
    Feed *f = feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 8});
    size_t first = 0;
    for (int rows; (rows = feed_window(f, &data->valid, first)) > 0;) {
        assert_int_equal(rows, first < 16 ? 8 : 4);
        for (int r = 0; r < rows; r++) {
            const int32_t *src = (int32_t *)f->in[0].data + r * f->in[0].shape[1];
            const Pair *p = data_pair(&data->valid, first++);
            for (int k = 0; k < p->nsource; k++) assert_int_equal(src[k], p->source[k]);
        }
    }
    assert_int_equal(first, 20);
    data_close(data);
    session_close(s);
}

/* ---- models ---- */

static const char *pair_model(Lab *l, const char *inputs)
{
    return lab_write(l, "m.rt", arena_printf(l->a,
        "model m() {\n  param w[256] = 0\n  fn (%s) {\n"
        "    let loss = (mean[n,k] w[src[n,k]]) + mean[n,j] w[tgt[n,j]]\n"
        "    return loss\n  }\n}\n", inputs));
}

static void the_inputs_decide(void **state)
{
    Lab *l = *state;
    static const struct {
        const char *inputs;
        bool pairs;
    } cases[] = {
        {"src[n,k]: int, tgt[n,j]: int", true},
        {"src[n,k]: int, tgt[n,j]: int, tgt_mask[n,j]: bool = true, scale[n]: float = 1", true},
        {"src[n,k]: int, tgt[n,j]: int, src_mask[n,k]: bool, tgt_mask[n,j]: bool", true},
        {"src[n,k]: int, tgt[n,j]: int, src_mask[n,j]: bool = true", false},
        {"src[n,k]: int, tgt[n,j]: int, src_mask[n,k]: int = 1", false},
        {"src[n,k]: int, tgt[n,j]: int, more[n]: float", false},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Session *s = lab_session(l, pair_model(l, cases[i].inputs), NULL, 0);
        if (session_takes_pairs(s) != cases[i].pairs) fail_msg("%s", cases[i].inputs);
        session_close(s);
    }
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    assert_false(feed_takes_pairs(s));
    session_close(s);
}

static void masks_are_for_models_that_read_them(void **state)
{
    Lab *l = *state;
    static const struct {
        const char *inputs, *third;
    } cases[] = {
        {"src[n,k]: int, tgt[n,j]: int", NULL},
        {"src[n,k]: int, tgt[n,j]: int, tgt_mask[n,j]: bool = true", NULL},
        {"src[n,k]: int, tgt[n,j]: int, tgt_mask[n,j]: bool", "tgt_mask"},
    };
    const char *path = write_words(l, "w", 4);
    Data *data = open_pairs(l, 1, &path, 1);
    for (int i = 0; i < COUNT(cases); i++) {
        Session *s = lab_session(l, pair_model(l, cases[i].inputs), NULL, 0);
        Feed *f = feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 4});
        assert_int_equal(f->n, cases[i].third ? 3 : 2);
        if (cases[i].third) assert_string_equal(f->in[2].name, cases[i].third);
        feed_compile(f, false);
        feed_window(f, &data->valid, 0);
        exec_run(feed_ready(f, s->eval), &(RunOptions){0});
        assert_float_equal(session_scalar(f->instance, "loss", NAN), 0, 1e-6);
        session_close(s);
    }
    data_close(data);
}

/* Options count where they are: `common` ones for both sides, unless a side has its own. */
static const char one_size[] =
    "model m(num_tokens: int = 77, enc_num_tokens: int = 99, max_seq_len: int = 31) {\n"
    "  param w[num_tokens + enc_num_tokens + max_seq_len] = 0\n"
    "  fn (src[n,k]: int, tgt[n,j]: int) {\n"
    "    let loss = (mean[n,k] w[src[n,k]]) + mean[n,j] w[tgt[n,j]]\n    return loss\n  }\n}\n";

static void read_rules(Lab *l, void *set)
{
    Session *s = lab_session(l, LAB_PAIRS, set, 1);
    diag_defer(l->d, lab_drop_session, s);
    feed_rules(s);
}

static void options_rule(void **state)
{
    Lab *l = *state;
    static const struct {
        Override set;
        const char *says;
    } cases[] = {
        {{"ignore_index", "-1"}, "the loss would count padding"},
        {{"pad_value", "2"}, "that token is the end"},
        {{"pad_value", "1"}, "that token is the start"},
        {{"pad_value", "256"}, "no token of both sides"},
        {{"dec_num_tokens", "2"}, "dec_num_tokens is 2"},
    };
    for (int i = 0; i < COUNT(cases); i++)
        lab_says(lab_error(l, read_rules, (void *)&cases[i].set), cases[i].says);
    Session *s = lab_session(l, lab_write(l, "m.rt", one_size), NULL, 0);
    PairRules r = feed_rules(s);
    assert_int_equal(r.source.tokens, 99);
    assert_int_equal(r.target.tokens, 77);
    assert_int_equal(r.source.most, 30);
    assert_int_equal(r.target.most, 30);
    assert_string_equal(r.target.option, "max_seq_len");
    assert_int_equal(r.pad, 0);
    session_close(s);
}

/* ---- training ---- */

typedef struct {
    const char *dir, *data;
    int64_t steps, stop_at;
    bool resume;
    StopFlag stop;
} Run;

static void after_step(void *ctx, const TrainStep *s)
{
    Run *r = ctx;
    (void)s;
    if (--r->stop_at == 0) r->stop = 1;
}

/* Trains, leaving the session to the caller. */
static Session *run(Lab *l, Run *r, const char *drop)
{
    Override *set = NEW(l->a, Override);             /* the session keeps it */
    *set = (Override){"drop", drop};
    Session *s = lab_session(l, LAB_PAIRS, set, 1);
    Data *data = open_pairs(l, 1, &r->data, 0.2);
    TrainSettings settings = train_settings(l->d, s->program);
    Feed *f = feed_new(l->a, s, &data->train, &(FeedSizes){.batch = 8});
    feed_compile(f, true);
    feed_compile(f, false);
    Trainer *t = trainer_new(s, &settings, 7, r->steps, 1);
    file_make_directory(l->d, r->dir);
    if (r->resume)
        t->state = checkpoint_load(l->d, rundir_path(l->a, r->dir, RUN_CHECKPOINT), s, &t->moments);
    r->stop = 0;
    TrainResult result = train(t, &(TrainOptions){
          .dir = r->dir, .data = data, .sizes = {.batch = 8},
        .save_every = 7, .eval_every = 5, .log_every = 1,
        .resume = r->resume, .stop = &r->stop, .after_step = after_step, .ctx = r});
    assert_true(result.valid_before > 0);
    data_close(data);
    return s;
}

static void a_resumed_run_has_the_same_bytes(void **state)
{
    Lab *l = *state;
    const char *words = write_words(l, "w", 30), *a = lab_path(l, "a"), *b = lab_path(l, "b");
    session_close(run(l, &(Run){.dir = a, .data = words, .steps = 20}, "0.2"));
    session_close(run(l, &(Run){.dir = b, .data = words, .steps = 20, .stop_at = 9}, "0.2"));
    session_close(run(l, &(Run){.dir = b, .data = words, .steps = 20, .resume = true}, "0.2"));
    size_t na, nb;
    const char *pa = lab_read(l, rundir_path(l->a, a, RUN_CHECKPOINT), &na);
    const char *pb = lab_read(l, rundir_path(l->a, b, RUN_CHECKPOINT), &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
}

static double loss_in_batches(Session *s, const DataPart *p, int64_t batch, int64_t *tokens)
{
    Evaluation e = evaluate(s, p, &(EvaluateOptions){.sizes = {.batch = batch}});
    *tokens = e.tokens;
    assert_true(e.complete);
    assert_int_equal(e.left_out, 0);
    return e.loss;
}

/* Also of the batches: with what else a pair is shown makes no difference. */
static void the_loss_is_that_of_real_targets(void **state)
{
    Lab *l = *state;
    const char *words = write_words(l, "w", 21);
    Session *s = run(l, &(Run){.dir = lab_path(l, "a"), .data = words, .steps = 10}, "0");
    Data *data = open_pairs(l, 1, &words, 1);
    int64_t expected = 0, tokens;
    for (size_t i = 0; i < 21; i++) expected += data_pair(&data->valid, i)->ntarget + 1;
    double alone = loss_in_batches(s, &data->valid, 1, &tokens);
    assert_int_equal(tokens, expected);
    assert_float_equal(loss_in_batches(s, &data->valid, 8, &tokens), alone, 1e-5);
    assert_int_equal(tokens, expected);
    assert_float_equal(loss_in_batches(s, &data->valid, 21, &tokens), alone, 1e-5);
    data_close(data);
    session_close(s);
}

/* ---- answers ---- */

typedef struct {
    unsigned char text[64];
    int n;
} Listener;

static void listen(void *ctx, int32_t token)
{
    Listener *l = ctx;
    l->text[l->n++] = (unsigned char)token;
}

/* given: what the answer begins with. */
static Generated answer(Session *s, const Pair *p, int given, int64_t tokens, double temperature,
                        Listener *out)
{
    int32_t source[16], target[16];
    pair_source(p, source);
    pair_target(p, target);
    *out = (Listener){.n = 0};
    return generate(s, &(GenerateOptions){
        .source = source, .nsource = pair_source_tokens(p), .prompt = target, .nprompt = 1 + given,
        .tokens = tokens, .context = 9, .emit = listen, .ctx = out,
        .sampler = {.temperature = temperature, .top_p = 1, .seed = 3}});
}

static void what_is_exact_is_what_is_generated(void **state)
{
    Lab *l = *state;
    const char *words = write_words(l, "w", 60), *odd = write_odd_words(l, "o", 60, 3);
    Session *s = run(l, &(Run){.dir = lab_path(l, "a"), .data = words, .steps = 20}, "0");
    Data *data = open_pairs(l, 1, &odd, 1);
    feed_compile_logits(feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 8}));
    int exact = 0;
    for (size_t i = 0; i < 60; i++) {
        const Pair *p = data_pair(&data->valid, i);
        Listener said;
        Generated g = answer(s, p, 0, 20, 0, &said);
        assert_int_equal(g.made, said.n + g.ended);
        assert_true(g.ended || g.made == 9);     /* as many as the model takes */
        exact += g.ended && said.n == p->ntarget && !memcmp(said.text, p->target, (size_t)said.n);
    }
    assert_in_range(exact, 1, 40);               /* else what follows would show little */
    for (int64_t batch = 1; batch < 9; batch += 3) {
        Answers a = answers_count(s, &data->valid, &(AnswersOptions){.sizes = {.batch = batch}});
        assert_true(a.complete);
        assert_int_equal(a.pairs, 60);
        assert_int_equal(a.exact, exact);
    }
    StopFlag stop = 1;
    Answers a = answers_count(s, &data->valid, &(AnswersOptions){.sizes = {.batch = 4},
                                                              .stop = &stop});
    assert_false(a.complete);
    assert_int_equal(a.pairs, 0);
    data_close(data);
    session_close(s);
}

static void an_answer_may_be_begun_and_cut(void **state)
{
    Lab *l = *state;
    const char *words = write_words(l, "w", 60);
    Session *s = run(l, &(Run){.dir = lab_path(l, "a"), .data = words, .steps = 150}, "0");
    Data *data = open_pairs(l, 1, &words, 1);
    feed_compile_logits(feed_new(l->a, s, &data->valid, &(FeedSizes){.batch = 1}));
    const Pair *p = data_pair(&data->valid, 7);
    Listener said;
    assert_in_range(p->ntarget, 3, 8);
    Generated g = answer(s, p, 2, 20, 0, &said);
    assert_true(g.ended);
    assert_int_equal(g.made, p->ntarget - 2 + 1);
    assert_memory_equal(said.text, p->target + 2, (size_t)said.n);
    g = answer(s, p, 0, 2, 0, &said);
    assert_false(g.ended);
    assert_int_equal(g.made, 2);
    Listener wild;
    answer(s, p, 0, 9, 1e6, &wild);              /* any token is as likely as any other */
    assert_true(wild.n != said.n || memcmp(wild.text, p->target, (size_t)wild.n) != 0);
    data_close(data);
    session_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_pairs),
        TEST(lines_that_are_no_pairs),
        TEST(the_last_pairs_are_held_out),
        TEST(one_pair_is_too_few),
        TEST(an_epoch_visits_every_pair_once),
        TEST(short_sides_are_padded_and_masked),
        TEST(a_pair_looks_the_same_in_every_batch),
        TEST(a_part_is_covered_in_order),
        TEST(the_inputs_decide),
        TEST(masks_are_for_models_that_read_them),
        TEST(options_rule),
        TEST(a_resumed_run_has_the_same_bytes),
        TEST(the_loss_is_that_of_real_targets),
        TEST(what_is_exact_is_what_is_generated),
        TEST(an_answer_may_be_begun_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
