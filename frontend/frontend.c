/* frontend.c: the public entry: a program and everything it owns. */
#include "frontend/build.h"

static void release(void *program) { program_free(program); }

Program *program_load(Diag *d, const LoadOptions *o)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    Program *p = NEW(a, Program);
    p->arena = a;
    diag_defer(d, release, p);
    p->graph = graph_new(d);
    p->init = graph_new(d);
    Builder *b = NEW(a, Builder);
    *b = (Builder){.d = d,
                   .a = a,
                   .g = p->graph,
                   .main = p->graph,
                   .init = p->init,
                   .o = o,
                   .program = p,
                   .aux = value_float(0),
                   .stack = __builtin_frame_address(0)};
    b->global = scope_new(b, NULL);
    build_program(b);
    diag_undefer(d);
    return p;
}

void program_free(Program *p)
{
    if (!p) return;
    graph_free(p->graph);
    graph_free(p->init);
    arena_free(p->arena);
}
