/* evaluate.c: see evaluate.h.
 *
 * The last window of a part is usually shorter; it runs as an instance of its own length,
 * unpadded, because padding changes what a model with routing computes. A model that takes no such
 * length (of a multiple of 64, say) is not measured on it.
 */
#include <math.h>
#include "runtime/evaluate.h"

typedef struct {
    Session *s;
    Instance *in;            /* of the sizes below */
    int64_t rows, length;
} Runner;

/* False: the model takes no windows of this length. */
static bool set_sizes(Runner *r, int64_t rows, int64_t length)
{
    if (r->in && rows == r->rows && length == r->length) return true;
    r->in = NULL;
    DIAG_TRY(r->s->diag) { r->in = session_instance(r->s, r->s->eval, rows, length, true); }
    DIAG_CATCH(r->s->diag) {}
    DIAG_END(r->s->diag)
    r->rows = rows;
    r->length = length;
    return r->in != NULL;
}

static void run_windows(Runner *r, const int32_t *x, const int32_t *targets)
{
    int64_t shape[] = {r->rows, r->length};
    exec_input(r->in, "x", DT_INT, 2, shape, x);
    exec_input(r->in, "targets", DT_INT, 2, shape, targets);
    exec_run(r->in, &(RunOptions){.seed = 0, .step = 0});
}

/* Batches of windows to skip after each, so that about `most` windows are run. */
static size_t stride_for(size_t windows, size_t batch, int64_t most)
{
    if (!most || windows <= (size_t)most) return 1;
    size_t batches = (windows + batch - 1) / batch, wanted = ((size_t)most + batch - 1) / batch;
    return (batches + wanted - 1) / wanted;
}

static void free_arena(void *a) { arena_free(a); }

Evaluation evaluate(Session *s, const DataPart *part, const EvaluateOptions *o)
{
    size_t windows = data_windows(part, o->time), batch = (size_t)o->batch;
    if (!windows) data_require(part, 1);
    size_t stride = stride_for(windows, batch, o->most);
    Arena *scratch = arena_new();
    if (!scratch) diag_oom(s->diag);
    diag_defer(s->diag, free_arena, scratch);
    arena_on_oom(scratch, diag_oom, s->diag);
    int32_t *x = NEW_N(scratch, int32_t, o->batch * o->time);
    int32_t *targets = NEW_N(scratch, int32_t, o->batch * o->time);
    Runner r = {.s = s};
    Evaluation e = {.complete = true};
    double loss = 0, aux = 0;
    if (o->reports) reports_clear(o->reports);
    for (size_t first = 0; first < windows;) {
        if (first && stop_asked(o->stop)) {
            e.complete = false;
            break;
        }
        int64_t length;
        int rows = data_window(part, first, (int)o->batch, o->time, &length, x, targets);
        if (!set_sizes(&r, rows, length)) {
            if (length == o->time) diag_again(s->diag);
            e.left_out += rows * length;
            break;                           /* it was the last window */
        }
        run_windows(&r, x, targets);
        double a = session_scalar(r.in, "aux_loss", 0), weight = (double)(rows * length);
        loss += weight * (session_scalar(r.in, "loss", NAN) - a);
        aux += weight * a;
        if (o->reports) reports_add(o->reports, r.in, weight);
        e.tokens += rows * length;
        first += (size_t)rows == batch ? batch * stride : (size_t)rows;
        if (o->progress) o->progress(o->ctx, first < windows ? first : windows, windows);
    }
    diag_undefer(s->diag);
    arena_free(scratch);
    e.loss = loss / (double)e.tokens;
    e.aux_loss = aux / (double)e.tokens;
    return e;
}
