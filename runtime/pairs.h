/* pairs.h: files of pairs, for models that read one sequence and write another.
 *
 * A line is SOURCE, a tab, TARGET; the last may lack its line end, and a carriage return before a
 * line end is part of it. Tokens are bytes, but for three that stand for what no text has in it:
 *
 *     TOKEN_START   before every target            TOKEN_END   behind every source and target
 *     pad           fills up what is shorter than the longest of a batch
 *
 * so that "abc", "cba" becomes   a b c END   and   START c b a END.
 */
#ifndef RTC_RUNTIME_PAIRS_H
#define RTC_RUNTIME_PAIRS_H

#include "ir/diag.h"

enum { TOKEN_START = 1, TOKEN_END = 2 };

/* What the model says about one side. */
typedef struct {
    int64_t tokens;                          /* a byte must be less */
    int64_t most;                            /* bytes */
    const char *option;                      /* of the model, that says so; for messages */
} PairSide;

typedef struct {
    PairSide source, target;
    int32_t pad;
} PairRules;

typedef struct {
    const unsigned char *source, *target;    /* in the file */
    int32_t nsource, ntarget;                /* bytes, at least one */
} Pair;

/* How many lines there are in the `bytes` at p. */
size_t pairs_count(const unsigned char *p, size_t bytes);
/* Splits the lines at p into out[pairs_count]. Errors, naming the file and the line: what isn't a
 * pair that the model takes. */
void pairs_split(Diag *d, const char *path, const unsigned char *p, size_t bytes,
                 const PairRules *rules, Pair *out);

/* How many tokens a side becomes, and those tokens; out has room for them. */
static inline int64_t pair_source_tokens(const Pair *p) { return p->nsource + 1; }
static inline int64_t pair_target_tokens(const Pair *p) { return p->ntarget + 2; }
void pair_source(const Pair *p, int32_t *out);
void pair_target(const Pair *p, int32_t *out);

/* A side from elsewhere than a file; `what` names it. Errors: as for a line. */
void pairs_check(Diag *d, const PairRules *rules, const PairSide *side, const char *what,
                 const char *text, size_t n);

#endif
