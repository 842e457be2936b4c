/* cmd_sample.c: `rtc sample`: text from a model, or its answer to a source, shown as it is made.
 *
 * The model is a run directory, or a model file, which then has the parameters it would begin
 * training with.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "runtime/command.h"
#include "runtime/generate.h"
#include "runtime/utf8.h"

/* Tokens below 256 are bytes of UTF-8; a model with more tokens speaks in numbers. */
typedef struct {
    Diag *diag;
    bool bytes;
    Utf8 utf8;
    Str out;
} Printer;

static void print_held(Printer *p)
{
    if (p->out.n) fwrite(p->out.s, 1, p->out.n, stdout);
    p->out.n = 0;
    if (fflush(stdout) != 0)
        diag_fail(p->diag, "cannot write the output: %s", strerror(errno));
}

static void print_token(void *ctx, int32_t token)
{
    Printer *p = ctx;
    if (p->bytes) utf8_put(&p->utf8, (unsigned char)token, &p->out);
    else str_printf(&p->out, "%d ", token);
    print_held(p);
}

/* The prompt as tokens: its bytes, or for other vocabularies numbers separated by spaces.
 * Without a prompt, the model begins after a line end (token 0 where tokens aren't bytes). */
static int32_t *prompt_tokens(Command *c, const char *text, bool bytes, int64_t tokens, int64_t *n)
{
    int32_t *out = NEW_N(c->arena, int32_t, strlen(text) + 1);
    *n = 0;
    if (!*text) out[(*n)++] = bytes ? '\n' : 0;
    if (bytes) {
        for (; *text; text++) {
            unsigned char byte = (unsigned char)*text;
            if (byte >= tokens)
                diag_fail(c->diag, "byte %d of the prompt is %d; the model has %lld tokens",
                          (int)*n + 1, byte, (long long)tokens);
            out[(*n)++] = byte;
        }
        return out;
    }
    while (*text) {
        char *end;
        long v = strtol(text, &end, 10);
        if (end == text || v < 0 || v >= tokens)
            diag_fail(c->diag, "the model has %lld tokens, so --prompt takes their numbers: `%s` "
                               "is none", (long long)tokens, text);
        out[(*n)++] = (int32_t)v;
        text = end + strspn(end, " ,\t\n");
    }
    return out;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* trained: the sizes of batches it was trained on; 0: it wasn't. */
static Session *open_model(Command *c, const char *path, FeedSizes *trained)
{
    *trained = (FeedSizes){0};
    if (is_directory(path) || !strstr(path, ".rt")) {
        const char *name = options_given(c->options, OPTION_best) ? RUN_BEST : RUN_CHECKPOINT;
        Run r = command_open_run(c, path, name);
        *trained = (FeedSizes){1, r.config.time, r.config.source};
        return r.session;
    }
    if (options_given(c->options, OPTION_best))
        diag_fail_status(c->diag, 2, "--best has no effect on a model file: it has no checkpoints");
    say(c, "%s: parameters as before any training, from seed %llu\n", path,
        (unsigned long long)command_seed(c));
    return command_open(c, path);
}

/* What continues a text. */
static void ask_for_text(Command *c, Session *s, const char *prompt, bool bytes,
                         GenerateOptions *g)
{
    int64_t time = g->trained.time;
    if (options_given(c->options, OPTION_source))
        diag_fail_status(c->diag, 2, "model %s goes on with a text and takes no --source\n"
                         "hint: --prompt TEXT is what the text begins with", s->program->model);
    g->context = session_option(s, "max_seq_len", time ? time : 1024);
    g->prompt = prompt_tokens(c, prompt, bytes, session_option(s, "num_tokens", 256), &g->nprompt);
    session_compile_logits(s, g->context);
    if (c->verbose) say_compiled(c, s->eval, session_instance(s, s->eval, 1, 1, false));
}

/* What answers a source: with the most likely tokens, where nothing else is asked for. */
static void ask_for_answer(Command *c, Session *s, const char *prompt, GenerateOptions *g)
{
    const char *source = options_text(c->options, OPTION_source);
    PairRules rules = feed_rules(s);
    if (!source)
        diag_fail_status(c->diag, 2, "model %s answers to a source: give it one with "
                         "--source TEXT", s->program->model);
    size_t nsource = strlen(source), nprompt = strlen(prompt);
    pairs_check(c->diag, &rules, &rules.source, "--source", source, nsource);
    if (nprompt) pairs_check(c->diag, &rules, &rules.target, "--prompt", prompt, nprompt);
    Pair pair = {(const unsigned char *)source, (const unsigned char *)prompt, (int32_t)nsource,
                 (int32_t)nprompt};
    int32_t *from = NEW_N(c->arena, int32_t, pair_source_tokens(&pair));
    int32_t *to = NEW_N(c->arena, int32_t, pair_target_tokens(&pair));
    pair_source(&pair, from);
    pair_target(&pair, to);
    g->source = from;
    g->nsource = pair_source_tokens(&pair);
    g->prompt = to;
    g->nprompt = pair_target_tokens(&pair) - 1;          /* it hasn't ended */
    g->context = rules.target.most + 1;                  /* TOKEN_START, then bytes */
    if (!options_given(c->options, OPTION_temperature)) g->sampler.temperature = 0;
    Feed *f = feed_new_pairs(c->arena, s, &(FeedSizes){
        .batch = 1, .source = g->nsource, .time = g->nprompt + 1});
    feed_compile_logits(f);
    if (c->verbose) say_compiled(c, s->eval, feed_instance(f, s->eval));
}

int cmd_sample(Command *c)
{
    const Options *o = c->options;
    FeedSizes trained;
    Session *s = open_model(c, o->arguments[0], &trained);
    bool pairs = session_takes_pairs(s);
    Printer p = {.diag = c->diag, .out = {.arena = c->arena},
                 .bytes = pairs || session_option(s, "num_tokens", 256) <= 256};
    const char *text = options_text(o, OPTION_prompt);
    GenerateOptions g = {.tokens = options_integer(o, OPTION_tokens), .trained = trained,
                         .stop = c->stop, .emit = print_token, .ctx = &p,
                         .sampler = {.temperature = options_number(o, OPTION_temperature),
                                     .top_k = (int)options_integer(o, OPTION_top_k),
                                     .top_p = options_number(o, OPTION_top_p),
                                     .seed = command_seed(c)}};
    if (pairs) ask_for_answer(c, s, text, &g);
    else ask_for_text(c, s, text, p.bytes, &g);
    say_warnings(c);
    fputs(text, stdout);
    if (!p.bytes && *text) putchar(' ');
    Generated r = generate(s, &g);
    utf8_flush(&p.utf8, &p.out);
    print_held(&p);
    putchar('\n');
    bool cut = !r.ended && r.made < g.tokens && stop_asked(c->stop);
    if (pairs && !r.ended && !cut)
        say(c, "the answer had not ended after %lld tokens%s\n", (long long)r.made,
            r.made < g.tokens ? ", and the model takes no more" : "");
    return cut ? 130 : 0;
}
