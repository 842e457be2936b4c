/* feed.h: how a model gets what it is trained and evaluated on.
 *
 * The model's inputs decide what that is:
 *
 *     text    x[batch, time]: int, targets[batch, time]: int
 *     pairs   src[batch, source]: int, tgt[batch, time]: int, and where the model reads them
 *             src_mask[batch, source]: bool, tgt_mask[batch, time]: bool
 *
 * Every batch of pairs is as long as the longest source and the longest target of the data, so that
 * what is computed for a pair doesn't depend on the pairs beside it (padding changes what a model
 * with routing computes). Shorter rows are filled up with padding, and masks are true where a row
 * is not padding. tgt is a whole target, from TOKEN_START to TOKEN_END (pairs.h): the model
 * predicts tgt[t + 1] from src and tgt[0..t], and counts no target that is padding.
 *
 *     Feed *f = feed_new(arena, session, &data->train, &(FeedSizes){batch, time});
 *     feed_compile(f, true);
 *     feed_sample(f, &data->train, seed, taken);
 *     exec_run(feed_ready(f, session->train), ...);
 */
#ifndef RTC_RUNTIME_FEED_H
#define RTC_RUNTIME_FEED_H

#include "runtime/data.h"
#include "runtime/session.h"

typedef struct {
    const char *name;
    DType dt;                        /* INT or BOOL */
    int64_t shape[2];                /* of the batch; at first of the largest */
    void *data;
} FeedInput;

typedef struct {
    int64_t batch;                   /* rows, at most */
    int64_t time;                    /* tokens: of a window; of a target, at least */
    int64_t source;                  /* tokens of a source, at least */
} FeedSizes;

typedef struct {
    Session *session;
    Arena *arena;
    bool pairs;
    int32_t pad;
    FeedSizes most;                  /* of batches; pairs are all that long */
    FeedInput in[4];                 /* pairs: src, tgt, and the masks that are read */
    int n;
    uint8_t *mask[2];                /* of src, of tgt; NULL: not read */
    int64_t targets;                 /* of the batch, that count in the loss */
    const Executable *exec;          /* that `instance` is of */
    Instance *instance;              /* for the sizes of `made`; NULL: none yet */
    int64_t made[4][2];
} Feed;

/* Errors, naming what the model has instead: it takes neither, or has no `loss`. True: pairs. */
bool feed_takes_pairs(Session *s);
/* The model's options: enc_num_tokens, dec_num_tokens or num_tokens (otherwise 256),
 * enc_max_seq_len, dec_max_seq_len or max_seq_len (otherwise no limit), pad_value (otherwise 0).
 * Errors: padding that is another token, or that the loss would count. */
PairRules feed_rules(Session *s);

/* For batches of a part, or of pairs that come from elsewhere, row by row, with feed_begin and
 * feed_row. The feed lives in `a`. */
Feed *feed_new(Arena *a, Session *s, const DataPart *part, const FeedSizes *sizes);
Feed *feed_new_pairs(Arena *a, Session *s, const FeedSizes *sizes);

/* The training or evaluation program, with `loss` (and `aux_loss`) as outputs; for training with
 * gradients, for evaluation with reports. */
Executable *feed_compile(const Feed *f, bool training);
/* The evaluation program for `logits` alone, of pairs. */
Executable *feed_compile_logits(const Feed *f);
/* Bytes that batches of `rows` of the greatest lengths would take. */
double feed_needs(const Feed *f, Executable *e, int64_t rows);

/* Fills the feed with the rows taken .. taken + batch - 1 of the training order. */
void feed_sample(Feed *f, const DataPart *p, uint64_t seed, uint64_t taken);
/* With rows `first` and the following, as many as fit (see data_window); 0: there are none. */
int feed_window(Feed *f, const DataPart *p, size_t first);
/* An empty batch of pairs, then each of its rows: shorter sides are padded. time: at most what the
 * feed is for. */
void feed_begin(Feed *f, int64_t rows, int64_t time);
void feed_row(Feed *f, int64_t row, const int32_t *source, int64_t nsource, const int32_t *target,
              int64_t ntarget);

/* The instance for the sizes of the batch, and with its values set. Errors: as exec_instance. */
Instance *feed_instance(Feed *f, Executable *e);
Instance *feed_ready(Feed *f, Executable *e);

#endif
