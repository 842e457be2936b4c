/* explain_print.c: the fused program as tables for people, and as a GraphViz picture. */
#include "passes/explain.h"
#include "passes/group.h"

/* 1.2 M, 34 k: three digits and a unit. */
static const char *short_number(Arena *a, double v)
{
    static const char *const unit[] = {"", " k", " M", " G", " T"};
    int u = 0;
    while (v >= 999.5 && u + 1 < COUNT(unit)) {
        v /= 1000;
        u++;
    }
    return arena_printf(a,
                        v >= 99.5 || u == 0 ? "%.0f%s"
                        : v >= 9.95         ? "%.1f%s"
                                            : "%.2f%s",
                        v, unit[u]);
}

static void print_lines(const ExplainKernel *k, Str *out)
{
    const char *file = "";
    for (int i = 0; i < k->lines.n; i++) {
        const LineRange *l = &k->lines.v[i];
        if (strcmp(file, l->file) != 0)
            str_printf(out, "%s%s:", i ? "  " : "", l->file);
        else
            str_add(out, ",");
        file = l->file;
        str_printf(out, l->last > l->first ? "%d-%d" : "%d", l->first, l->last);
    }
}

static void print_kernels(const Unit *u, const Explain *x, Str *out)
{
    Arena *a = u->arena;
    str_printf(out, "%-5s %-9s %8s %8s %8s  %s\n", "", "phase", "FLOPs", "reads", "writes",
               "what is computed for every block");
    for (int i = 0; i < x->kernels.n; i++) {
        const ExplainKernel *k = &x->kernels.v[i];
        str_printf(out, "%-5s %-9s %8s %8s %8s  %s", k->name, phase_name(k->phase),
                   short_number(a, k->cost.flops), short_number(a, k->cost.bytes_read),
                   short_number(a, k->cost.bytes_written), k->block);
        if (!k->product) str_printf(out, " %s", k->what);
        if (k->conditional) str_add(out, "  (skipped with a branch)");
        if (k->loop) str_printf(out, "  (loop %d, piece by piece)", k->loop);
        str_add(out, "\n");
        if (k->lines.n) {
            str_printf(out, "%44s", "");
            print_lines(k, out);
            str_add(out, "\n");
        }
    }
}

static void print_totals(const Unit *u, const Explain *x, Str *out)
{
    const ExplainKernel *peak = x->kernels.n ? &x->kernels.v[x->peak] : NULL;
    str_add(out, "bytes:");
    for (int c = 0; c < BUF_TEMP; c++)
        if (x->class_bytes[c] > 0)
            str_printf(out, " %s %s,", buffer_class_name((BufferClass)c),
                       short_number(u->arena, x->class_bytes[c]));
    str_printf(out, " arena of temporaries %s\n", short_number(u->arena, x->temp_bytes));
    if (peak)
        str_printf(out, "at least %s are alive at one time (*), during %s\n",
                   short_number(u->arena, x->temp_bound), peak->name);
}

static void print_stored(const Unit *u, const Explain *x, Str *out)
{
    str_add(out, "\nstored tensors\n");
    for (int i = 0; i < x->stored.n; i++) {
        const ExplainTensor *t = &x->stored.v[i];
        bool alive = t->cls == BUF_TEMP && t->first <= x->peak && x->peak <= t->last;
        str_printf(out, "%9s%c %-9s %s %s", short_number(u->arena, t->bytes), alive ? '*' : ' ',
                   buffer_class_name(t->cls), t->name, t->shape);
        if (t->cls == BUF_TEMP && t->line.file)
            str_printf(out, "  %s:%d", t->line.file, t->line.first);
        str_add(out, "\n");
    }
    print_totals(u, x, out);
}

static void print_apart(const Explain *x, Str *out)
{
    int n = 0;
    for (int i = 0; i < x->pairs.n; i++) {
        const ExplainPair *p = &x->pairs.v[i];
        if (p->fused) continue;
        if (!n++) str_add(out, "\nnot fused\n");
        str_printf(out, "  %s -> %s: %s\n", p->from_text, p->to_text, p->reason);
    }
}

void explain_print(const Unit *u, const Explain *x, Str *out)
{
    print_kernels(u, x, out);
    str_printf(out, "%d kernels, %s FLOPs, %s bytes read and written\n", x->kernels.n,
               short_number(u->arena, x->flops), short_number(u->arena, x->bytes));
    print_stored(u, x, out);
    print_apart(x, out);
}

/* ---- GraphViz ---- */

static int writer_of(const Unit *u, int node)
{
    int b = u->groups->buffer_of[node];
    if (b < 0 || is_stored_leaf(u->graph->nodes.v[node])) return -1;
    return u->groups->buffers.v[b].first;
}

static int group_of(const Unit *u, int node)
{
    for (int i = 0; i < u->groups->groups.n; i++)
        for (int m = 0; m < u->groups->groups.v[i].members.n; m++)
            if (u->groups->groups.v[i].members.v[m].node->id == node) return i;
    return -1;
}

void explain_dot(const Unit *u, const Explain *x, Str *out)
{
    static const char *const colour[] = {"#dce9f7", "#f7e3dc", "#e2f2dd"};
    str_add(out, "digraph rtc {\n  node [shape=box style=filled fontname=\"sans\"];\n");
    for (int i = 0; i < x->kernels.n; i++) {
        const ExplainKernel *k = &x->kernels.v[i];
        str_printf(out, "  g%d [label=\"%s\\n%s\" fillcolor=\"%s\"%s];\n", k->group, k->name,
                   k->product ? k->block : k->what, colour[k->phase],
                   k->product ? " shape=ellipse" : "");
    }
    for (int i = 0; i < x->pairs.n; i++) {
        const ExplainPair *p = &x->pairs.v[i];
        if (p->fused) continue;
        int from = writer_of(u, p->from), to = group_of(u, p->to);
        const Buffer *b = from < 0 ? NULL : &u->groups->buffers.v[u->groups->buffer_of[p->from]];
        if (b && to >= 0)
            str_printf(out, "  g%d -> g%d [label=\"%s\"];\n", from, to,
                       ix_text(u->graph, b->count));
    }
    str_add(out, "}\n");
}
