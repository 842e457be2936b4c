/* cmd_explain.c: `rtc explain`: what was fused, what was not, and why. */
#include <jansson.h>
#include "passes/explain.h"
#include "runtime/command.h"
#include "runtime/file.h"

static json_t *json_lines(const ExplainKernel *k)
{
    json_t *list = json_array();
    for (int i = 0; i < k->lines.n; i++) {
        const LineRange *l = &k->lines.v[i];
        json_array_append_new(list, json_pack("{ss si si}", "file", l->file ? l->file : "", "first",
                                              l->first, "last", l->last));
    }
    return list;
}

/* Kernels, or library calls. */
static json_t *json_kernels(const Explain *x, bool products)
{
    json_t *list = json_array();
    for (int i = 0; i < x->kernels.n; i++) {
        const ExplainKernel *k = &x->kernels.v[i];
        if (k->product != products) continue;
        json_t *o = json_pack("{ss ss ss ss sf sf so sb si}", "name", k->name, "phase",
                              phase_name(k->phase), "what", k->what ? k->what : "", "block",
                              k->block ? k->block : "", "bytes",
                              k->cost.bytes_read + k->cost.bytes_written, "flops", k->cost.flops,
                              "lines", json_lines(k), "conditional", (int)k->conditional, "loop",
                              k->loop);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_stored(const Explain *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->stored.n; i++) {
        const ExplainTensor *t = &x->stored.v[i];
        json_t *o =
            json_pack("{ss ss ss sf si si}", "name", t->name, "class", buffer_class_name(t->cls),
                      "shape", t->shape, "bytes", t->bytes, "first", t->first, "last", t->last);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_edges(const Explain *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->pairs.n; i++) {
        const ExplainPair *p = &x->pairs.v[i];
        json_t *o = json_pack("{ss ss sb ss?}", "from", p->from_text, "to", p->to_text, "fused",
                              (int)p->fused, "reason", p->fused ? NULL : p->reason);
        json_array_append_new(list, o);
    }
    return list;
}

int cmd_explain(Command *c)
{
    const Options *o = c->options;
    bool grad = options_given(o, OPTION_with_grad);
    Unit *u = command_unit(c, o->arguments[0], grad, grad);
    if (!u->groups) diag_fail(c->diag, "the pipeline makes no groups\nhint: end it with `group`");
    Explain *x = explain_make(u, NULL);
    Str text = {.arena = c->arena};
    if (options_given(o, OPTION_dot)) {
        Str dot = {.arena = c->arena};
        explain_dot(u, x, &dot);
        file_save(c->diag, options_text(o, OPTION_dot), dot.s, dot.n);
    }
    if (c->json) {
        print_json(c, json_pack("{so so so so sf sf sf sf si}", "kernels", json_kernels(x, false),
                                "library_calls", json_kernels(x, true), "stored", json_stored(x),
                                "edges", json_edges(x), "flops", x->flops, "bytes", x->bytes,
                                "arena_bytes", x->temp_bytes, "arena_lower_bound", x->temp_bound,
                                "peak", x->peak));
        return 0;
    }
    explain_print(u, x, &text);
    fwrite(text.s, 1, text.n, stdout);
    return 0;
}
