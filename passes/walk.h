/* walk.h: private to differentiation: the state of one reverse walk. */
#ifndef RTC_PASSES_WALK_H
#define RTC_PASSES_WALK_H

#include "passes/grad.h"

typedef struct Replay Replay;

typedef struct {
    Graph *g;
    int n;          /* nodes of the forward graph; later ones are made by the walk */
    bool *need;     /* by node: its cotangent is wanted */
    Edge *cot;      /* by node: over its out axes; node NULL: none arrived */
    Replay *replay; /* values inside annotated regions */
} Walk;

/* What a rule sees of its node. */
typedef struct {
    Walk *w;
    Graph *g;
    const Node *n;
    const Space *space; /* n's */
    Edge c;             /* the cotangent, over space: the out axes come first in it */
} Vjp;

Edge vjp_value(Vjp *v);               /* n's own value, over space */
Edge vjp_arg(Vjp *v, int i);          /* the value of operand i, over space */
bool vjp_wants(const Vjp *v, int i);  /* does anything depend on what operand i gets? */
void vjp_give(Vjp *v, int i, Edge e); /* operand i gets e, over space */
/* The same over another space, in which m is operand i's map. */
void vjp_give_over(Vjp *v, int i, const Map *m, const Space *space, Edge e);

typedef void (*VjpRule)(Vjp *v);
extern const VjpRule vjp_rule[OP_COUNT]; /* NULL: the op passes no gradient */

/* ---- replay.c ---- */

Replay *replay_new(Graph *g);
/* The builder's region and replay number for the rule of n. */
void replay_enter(Replay *r, const Node *n);
/* What the rule of `reader` reads instead of node m: an edge over m's out axes. */
Edge replay_value(Replay *r, const Node *reader, Node *m);

#endif
