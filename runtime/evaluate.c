/* evaluate.c: see evaluate.h.
 *
 * The last window of a part is usually shorter; it runs as an instance of its own length,
 * unpadded, because padding changes what a model with routing computes. A model that takes no such
 * length (of a multiple of 64, say) is not measured on it.
 */
#include <math.h>
#include "runtime/evaluate.h"

/* The instance for the feed's batch; NULL: the model takes no window that short. */
static Instance *instance_for(Session *s, Feed *f)
{
    if (f->pairs || f->in[0].shape[1] == f->most.time) return feed_ready(f, s->eval);
    Instance *volatile in = NULL;
    DIAG_TRY(s->diag) { in = feed_ready(f, s->eval); }
    DIAG_CATCH(s->diag) {}
    DIAG_END(s->diag)
    return in;
}

/* Batches of windows to skip after each, so that about `most` windows are run. */
static size_t stride_for(size_t windows, size_t batch, int64_t most)
{
    if (!most || windows <= (size_t)most) return 1;
    size_t batches = (windows + batch - 1) / batch, wanted = ((size_t)most + batch - 1) / batch;
    return (batches + wanted - 1) / wanted;
}

Evaluation evaluate(Session *s, const DataPart *part, const EvaluateOptions *o)
{
    size_t windows = data_windows(part, o->sizes.time), batch = (size_t)o->sizes.batch;
    if (!windows) data_require(part, 1);
    size_t stride = stride_for(windows, batch, o->most);
    Arena *scratch = diag_scratch(s->diag);
    Feed *f = feed_new(scratch, s, part, &o->sizes);
    Evaluation e = {.complete = true};
    double loss = 0, aux = 0;
    if (o->reports) reports_clear(o->reports);
    for (size_t first = 0; first < windows;) {
        if (first && stop_asked(o->stop)) {
            e.complete = false;
            break;
        }
        int rows = feed_window(f, part, first);
        Instance *in = instance_for(s, f);
        if (!in) {
            e.left_out += f->targets;
            break;                           /* it was the last window */
        }
        exec_run(in, &(RunOptions){.seed = 0, .step = 0});
        double a = session_scalar(in, "aux_loss", 0), weight = (double)f->targets;
        loss += weight * (session_scalar(in, "loss", NAN) - a);
        aux += weight * a;
        if (o->reports) reports_add(o->reports, in, weight);
        e.tokens += f->targets;
        first += (size_t)rows == batch ? batch * stride : (size_t)rows;
        if (o->progress) o->progress(o->ctx, first < windows ? first : windows, windows);
    }
    diag_scratch_end(s->diag, scratch);
    e.loss = loss / (double)e.tokens;
    e.aux_loss = aux / (double)e.tokens;
    return e;
}
