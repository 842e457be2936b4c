/* feed.c: see feed.h. */
#include <math.h>
#include "runtime/feed.h"

enum { SOURCE, TARGET };             /* in[], and mask[] */
static const char *const pair_inputs[] = {"src", "tgt", "src_mask", "tgt_mask"};

/* ---- what the model takes ---- */

bool feed_takes_pairs(Session *s)
{
    if (!session_takes_pairs(s)) {
        session_require_tokens(s, true);
        return false;
    }
    if (!session_has_output(s, "loss"))
        diag_fail(s->diag, "model %s returns no `loss`", s->program->model);
    return true;
}

/* The option of one side, or of both. */
static int64_t side_option(const Session *s, const char *side, const char *common,
                           int64_t otherwise)
{
    return session_option(s, side, session_option(s, common, otherwise));
}

static PairSide side_of(const Session *s, const char *tokens, const char *length)
{
    static const char common[] = "max_seq_len";
    PairSide side = {.tokens = side_option(s, tokens, "num_tokens", 256),
                     .most = side_option(s, length, common, INT32_MAX) - 1,
                     .option = session_option(s, length, -1) < 0 ? common : length};
    if (side.tokens <= TOKEN_END)
        diag_fail(s->diag, "%s is %lld, and tokens %d and %d are the start and the end of a pair's "
                           "text\nhint: --set %s=256 is enough for every text", tokens,
                  (long long)side.tokens, TOKEN_START, TOKEN_END, tokens);
    return side;
}

PairRules feed_rules(Session *s)
{
    int64_t pad = session_option(s, "pad_value", 0);
    int64_t ignored = session_option(s, "ignore_index", pad);
    PairRules r = {.source = side_of(s, "enc_num_tokens", "enc_max_seq_len"),
                   .target = side_of(s, "dec_num_tokens", "dec_max_seq_len"),
                   .pad = (int32_t)pad};
    if (pad < 0 || pad >= r.source.tokens || pad >= r.target.tokens)
        diag_fail(s->diag, "pad_value is %lld, which is no token of both sides", (long long)pad);
    if (pad == TOKEN_START || pad == TOKEN_END)
        diag_fail(s->diag, "pad_value is %lld, and that token is the %s of a pair's text\n"
                           "hint: leave it out: 0 is in no text", (long long)pad,
                  pad == TOKEN_START ? "start" : "end");
    if (ignored != pad)
        diag_fail(s->diag, "ignore_index is %lld and pad_value %lld, so the loss would count "
                           "padding\nhint: they must be equal", (long long)ignored, (long long)pad);
    return r;
}

/* ---- making one ---- */

static void add(Feed *f, const char *name, DType dt, int64_t length)
{
    int64_t rows = f->most.batch;
    size_t bytes = dt == DT_BOOL ? 1 : sizeof(int32_t);
    f->in[f->n++] = (FeedInput){.name = name, .dt = dt, .shape = {rows, length},
                                .data = arena_alloc(f->arena, bytes * (size_t)(rows * length))};
}

static Feed *feed_empty(Arena *a, Session *s, const FeedSizes *sizes)
{
    Feed *f = NEW(a, Feed);
    *f = (Feed){.session = s, .arena = a, .most = *sizes};
    return f;
}

Feed *feed_new_pairs(Arena *a, Session *s, const FeedSizes *sizes)
{
    Feed *f = feed_empty(a, s, sizes);
    f->pairs = true;
    f->pad = feed_rules(s).pad;
    for (int i = 0; i < COUNT(pair_inputs); i++) {
        const ValueInfo *in = session_input(s, pair_inputs[i]);
        bool mask = i > TARGET;
        if (!in || (in->optional && !session_reads(s, in->name))) continue;
        add(f, pair_inputs[i], mask ? DT_BOOL : DT_INT, i % 2 ? sizes->time : sizes->source);
        if (mask) f->mask[i % 2] = f->in[f->n - 1].data;
    }
    return f;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

Feed *feed_new(Arena *a, Session *s, const DataPart *part, const FeedSizes *sizes)
{
    const DataStream *stream = part->stream;
    if (stream->pairs)
        return feed_new_pairs(a, s, &(FeedSizes){.batch = sizes->batch,
                                                 .source = larger(sizes->source, stream->source),
                                                 .time = larger(sizes->time, stream->target)});
    Feed *f = feed_empty(a, s, sizes);
    add(f, "x", DT_INT, sizes->time);
    add(f, "targets", DT_INT, sizes->time);
    return f;
}

/* ---- programs and sizes ---- */

static Executable *compile(const Feed *f, const SessionCompile *how)
{
    Session *s = f->session;
    const char *given[COUNT(f->in)], *dims[3];
    InputShape shapes[COUNT(f->in)];
    int64_t sizes[] = {f->most.batch, f->most.source, f->most.time}, shape[COUNT(f->in)][2];
    for (int i = 0; i < f->n; i++) {
        given[i] = f->in[i].name;
        memcpy(shape[i], f->in[i].shape, sizeof shape[i]);
        shapes[i] = (InputShape){given[i], 2, shape[i]};
    }
    dims[0] = session_input(s, "src")->dim[0];
    dims[1] = session_input(s, "src")->dim[1];
    dims[2] = session_input(s, "tgt")->dim[1];
    SessionCompile c = *how;
    c.given = given, c.ngiven = f->n;
    c.shapes = shapes, c.nshapes = f->n;
    c.sizes = sizes, c.size_names = dims, c.nsizes = 3;
    return session_compile(s, &c);
}

Executable *feed_compile(const Feed *f, bool training)
{
    static const char *const outputs[] = {"loss", "aux_loss"};
    Session *s = f->session;
    if (!f->pairs) return session_compile_tokens(s, training, f->most.batch, f->most.time);
    return compile(f, &(SessionCompile){
        .training = training, .want_grad = training, .reports = !training, .outputs = outputs,
        .noutputs = session_has_output(s, "aux_loss") ? 2 : 1});
}

Executable *feed_compile_logits(const Feed *f)
{
    static const char *const outputs[] = {"logits"};
    if (!session_has_output(f->session, "logits"))
        diag_fail(f->session->diag, "model %s returns no `logits`", f->session->program->model);
    return compile(f, &(SessionCompile){.outputs = outputs, .noutputs = 1});
}

/* By free dimension, for the batch as it is, but with so many rows. */
static int64_t *dims_of(const Feed *f, Executable *e, int64_t rows)
{
    InputShape in[COUNT(f->in)];
    int64_t shape[COUNT(f->in)][2], *dims = NEW_N(f->arena, int64_t, exec_ndims(e) + 1);
    int n = 0;
    for (int i = 0; i < f->n; i++) {
        if (!exec_reads(e, f->in[i].name)) continue;
        shape[n][0] = rows, shape[n][1] = f->in[i].shape[1];
        in[n] = (InputShape){f->in[i].name, 2, shape[n]};
        n++;
    }
    exec_solve(e, in, n, dims);
    return dims;
}

double feed_needs(const Feed *f, Executable *e, int64_t rows)
{
    return exec_needs(e, dims_of(f, e, rows));
}

Instance *feed_instance(Feed *f, Executable *e)
{
    int64_t shape[COUNT(f->made)][2] = {{0}};
    for (int i = 0; i < f->n; i++) memcpy(shape[i], f->in[i].shape, sizeof shape[i]);
    if (f->instance && f->exec == e && !memcmp(f->made, shape, sizeof shape)) return f->instance;
    f->instance = exec_instance(e, dims_of(f, e, f->in[0].shape[0]));
    f->exec = e;
    memcpy(f->made, shape, sizeof shape);
    return f->instance;
}

Instance *feed_ready(Feed *f, Executable *e)
{
    Instance *in = feed_instance(f, e);
    for (int i = 0; i < f->n; i++)
        if (exec_reads(e, f->in[i].name))
            exec_input(in, f->in[i].name, f->in[i].dt, 2, f->in[i].shape, f->in[i].data);
    return in;
}

/* ---- batches of text ---- */

static void set_shape(Feed *f, int64_t rows, int64_t length)
{
    for (int i = 0; i < f->n; i++) f->in[i].shape[0] = rows, f->in[i].shape[1] = length;
    f->targets = rows * length;
}

static int text_window(Feed *f, const DataPart *p, size_t first)
{
    int64_t length = 0;
    int rows = data_window(p, first, (int)f->most.batch, f->most.time, &length, f->in[0].data,
                           f->in[1].data);
    set_shape(f, rows, length);
    return rows;
}

/* ---- batches of pairs ---- */

void feed_begin(Feed *f, int64_t rows, int64_t time)
{
    for (int i = 0; i < f->n; i++) {
        bool target = i == TARGET || f->in[i].data == f->mask[TARGET];
        f->in[i].shape[0] = rows;
        f->in[i].shape[1] = target ? time : f->most.source;
    }
    f->targets = 0;
}

static int32_t *row_of(Feed *f, int side, int64_t row)
{
    return (int32_t *)f->in[side].data + row * f->in[side].shape[1];
}

/* Behind the first n tokens of a row there is padding. */
static void finish_row(Feed *f, int side, int64_t row, int64_t n)
{
    int64_t length = f->in[side].shape[1];
    int32_t *ids = row_of(f, side, row);
    for (int64_t i = n; i < length; i++) ids[i] = f->pad;
    for (int64_t i = 0; f->mask[side] && i < length; i++)
        f->mask[side][row * length + i] = i < n;
    if (side == TARGET) f->targets += n - 1;
}

void feed_row(Feed *f, int64_t row, const int32_t *source, int64_t nsource, const int32_t *target,
              int64_t ntarget)
{
    memcpy(row_of(f, SOURCE, row), source, (size_t)nsource * sizeof *source);
    memcpy(row_of(f, TARGET, row), target, (size_t)ntarget * sizeof *target);
    finish_row(f, SOURCE, row, nsource);
    finish_row(f, TARGET, row, ntarget);
}

static void put_pair(Feed *f, int64_t row, const Pair *p)
{
    pair_source(p, row_of(f, SOURCE, row));
    pair_target(p, row_of(f, TARGET, row));
    finish_row(f, SOURCE, row, pair_source_tokens(p));
    finish_row(f, TARGET, row, pair_target_tokens(p));
}

static int pairs_window(Feed *f, const DataPart *p, size_t first)
{
    size_t left = first < p->n ? p->n - first : 0;
    int rows = left < (size_t)f->most.batch ? (int)left : (int)f->most.batch;
    feed_begin(f, rows, f->most.time);
    for (int i = 0; i < rows; i++) put_pair(f, i, data_pair(p, first + (size_t)i));
    return rows;
}

/* ---- both ---- */

void feed_sample(Feed *f, const DataPart *p, uint64_t seed, uint64_t taken)
{
    int64_t batch = f->most.batch, time = f->most.time;
    if (!f->pairs) {
        data_sample(p, seed, taken, (int)batch, time, f->in[0].data, f->in[1].data);
        set_shape(f, batch, time);
        return;
    }
    data_require(p, time);
    feed_begin(f, batch, time);
    for (int64_t i = 0; i < batch; i++)
        put_pair(f, i, data_sample_pair(p, seed, taken + (uint64_t)i));
}

int feed_window(Feed *f, const DataPart *p, size_t first)
{
    return f->pairs ? pairs_window(f, p, first) : text_window(f, p, first);
}
