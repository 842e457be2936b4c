/* cmd_demo.c: `rtc demo`: a small Routing Transformer, half its heads local and half routed,
 * learns from text that is on this machine.
 */
#include <glob.h>
#include <math.h>
#include "runtime/evaluate.h"
#include "runtime/generate.h"
#include "runtime/training.h"
#include "runtime/utf8.h"

/* Texts that Debian ships, the best first; all that match a row are one text. */
static const char *const texts[][3] = {
    {"/usr/share/games/fortunes/literature", "/usr/share/games/fortunes/science",
     "/usr/share/games/fortunes/wisdom"},
    {"/usr/share/perl/*/pod/perldiag.pod"},
    {"/usr/share/common-licenses/*PL-[1-9]*"},
};

enum { LEAST_TEXT = 100000, BATCH = 8, TIME = 256, STEPS = 1000, PROMPT = 200, SAMPLE = 400 };

static const Override options[] = {
    {"dim", "128"}, {"depth", "3"}, {"heads", "4"}, {"dim_head", "32"},
    {"n_local_attn_heads", "2"}, {"max_seq_len", "256"}, {"window_size", "64"}, {"causal", "true"},
    {"ff_glu", "true"}, {"optimizer.lr", "2e-3"}, {"schedule", "[warmup(40), cosine(to = 1e-4)]"},
};

/* ---- the text ---- */

static OptionValues matching(Command *c, const char *const *patterns, int n)
{
    glob_t g = {0};
    OptionValues files = {0};
    for (int i = 0; i < n && patterns[i]; i++)
        glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &g);
    const char **paths = NEW_N(c->arena, const char *, g.gl_pathc + 1);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *path = rundir_absolute(c->arena, g.gl_pathv[i]);
        bool twice = false;                          /* GPL is a link to GPL-3 */
        for (int k = 0; k < files.n; k++) twice = twice || !strcmp(paths[k], path);
        if (!twice) paths[files.n++] = path;
    }
    files.v = paths;
    globfree(&g);
    return files;
}

static OptionValues find_text(Command *c)
{
    OptionValues given = options_values(c->options, OPTION_demo_data);
    if (given.n) return given;
    for (int i = 0; i < COUNT(texts); i++) {
        OptionValues files = matching(c, texts[i], COUNT(texts[i]));
        if (!files.n) continue;
        const Data *d = command_data_all(c, files, 256);
        if (d->valid.n >= LEAST_TEXT) return files;
    }
    diag_fail(c->diag, "there is no text on this machine that rtc knows of\n"
                       "hint: give one: rtc demo --data book.txt");
}

/* ---- the run ---- */

/* A demo's own directory may be replaced, anything else may not. */
static void check_directory(Command *c, const char *dir)
{
    if (!rundir_exists(c->arena, dir)) {
        rundir_require_free(c->diag, c->arena, dir);
        return;
    }
    RunConfig old = rundir_read(c->diag, c->arena, dir);
    if (!strstr(old.command, " demo"))
        diag_fail(c->diag, "%s holds a run that isn't a demo\nhint: give another --out", dir);
}

static Training run(Command *c, const char *dir, OptionValues text)
{
    const char *file = command_model(c, "routing_lm.rt");
    TrainingPlan plan = {.dir = dir, .replace = true, .save_every = STEPS, .eval_every = 100,
                         .log_every = 20,
                         .session = command_session(c, file),
                         .seconds = (double)options_integer(c->options, OPTION_demo_seconds)};
    plan.session.set = options;
    plan.session.nset = COUNT(options);
    plan.config = (RunConfig){.file = file, .set = options, .nset = COUNT(options),
                              .data = text.v, .ndata = text.n, .seed = command_seed(c),
                              .steps = STEPS, .batch = BATCH, .time = TIME, .accumulate = 1,
                              .command = command_line(c, NULL)};
    return command_train(c, &plan);
}

typedef struct {
    Utf8 utf8;
    Str out;
} Printer;

static void print_token(void *ctx, int32_t token)
{
    Printer *p = ctx;
    p->out.n = 0;
    utf8_put(&p->utf8, (unsigned char)token, &p->out);
    if (p->out.n) fwrite(p->out.s, 1, p->out.n, stdout);
    fflush(stdout);
}

/* Goes on from a place in the text that was held out. */
static void sample(Command *c, const Training *t)
{
    int32_t prompt[PROMPT];
    Printer p = {.out = {.arena = c->arena}};
    data_copy(&t->data->valid, 0, PROMPT, prompt);
    session_compile_logits(t->session, TIME);
    printf("\na passage that it hasn't seen, and from >>> on what it makes of it:\n\n");
    for (int i = 0; i < PROMPT; i++) print_token(&p, prompt[i]);
    printf(">>>");
    generate(t->session, &(GenerateOptions){.prompt = prompt, .nprompt = PROMPT, .tokens = SAMPLE,
                                            .context = TIME, .stop = c->stop, .emit = print_token,
                                            .ctx = &p,
                                            .sampler = {.temperature = 0.7, .top_p = 0.95,
                                                        .seed = command_seed(c)}});
    printf("\n\n");
}

int cmd_demo(Command *c)
{
    const char *dir = options_text(c->options, OPTION_demo_out), *program = command_program(c);
    check_directory(c, dir);
    OptionValues text = find_text(c);
    for (int i = 0; i < text.n; i++)
        say(c, "%s%s\n", i ? "            " : "text        ", text.v[i]);
    Training t = run(c, dir, text);
    if (t.result.stopped) {
        say(c, "stopped; %s has what was trained so far\n", dir);
        return 130;
    }
    printf("\nvalidation loss   before %.3f nats (%.3f bits per byte), after %.3f (%.3f)\n",
           t.result.valid_before, bits_per_token(t.result.valid_before), t.result.valid_after,
           bits_per_token(t.result.valid_after));
    sample(c, &t);
    printf("files in %s: model.rt, config.json, checkpoint.safetensors, log.csv, loss.svg\n\n"
           "now try\n"
           "  %s sample %s --prompt 'The ' --tokens 500\n"
           "  %s train routing_lm.rt --data MY.txt --out my-run --set causal=true --set dim=128 "
           "--set depth=3 --set n_local_attn_heads=4 --set max_seq_len=256\n",
           dir, program, dir, program);
    return stop_asked(c->stop) ? 130 : 0;
}
