/* namemap.h: the names that another program gives to a model's parameters and states.
 *
 * A map is a text (models/routing_transformer.map explains its lines). It is run once for a model,
 * with the model's options, and leaves a list of rules: two patterns each. Nothing here knows a
 * model.
 */
#ifndef RTC_RUNTIME_NAMEMAP_H
#define RTC_RUNTIME_NAMEMAP_H

#include "frontend/frontend.h"

/* A parameter or a state; or NAME.initted, a bool of a state that has an `init`. */
typedef struct {
    const char *name;
    bool state;
    bool idle;                       /* of a part that doesn't run: it may be missing, and what
                                        follows isn't known */
    DType dt;
    int rank;
    int64_t shape[MAX_AXES];
} KeptTensor;

typedef struct {
    const char *ours, *theirs;       /* NULL: the other's alone. A `*` may end both */
    int line;                        /* of the map */
} NameRule;

typedef VEC(const char *) NameList;

typedef struct {
    const char *path;
    VEC(KeptTensor) kept;            /* of the model, in its order */
    VEC(NameRule) rules;             /* in the order of precedence */
    const Program *program;
    Arena *arena;
} NameMap;

/* Runs the map for the model, which must outlive it. Errors: as file_read; a wrong line of the map,
 * with its place; a model it has nothing for. */
NameMap *namemap_read(Diag *d, Arena *a, const char *path, const Program *p);

/* All names of ours there, or of theirs here. False: no line of the map fits; true and an empty
 * list: a line says that it isn't converted. */
bool namemap_theirs(const NameMap *m, const char *ours, NameList *out);
bool namemap_ours(const NameMap *m, const char *theirs, NameList *out);

const KeptTensor *namemap_kept(const NameMap *m, const char *ours);  /* NULL: there is none */

#endif
