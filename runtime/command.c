/* command.c: see command.h. */
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/command.h"
#include "runtime/file.h"
#include "runtime/trial.h"

void command_keep(Command *c, void (*release)(void *), void *p)
{
    vec_push(c->arena, &c->kept, (struct Kept){release, p});
    diag_defer(c->diag, release, p);
}

void command_release(Command *c)
{
    while (c->kept.n) {
        struct Kept k = vec_pop(&c->kept);
        diag_undefer(c->diag);
        k.release(k.p);
    }
}

/* ---- models ---- */

static bool is_file(const char *path) { return access(path, R_OK) == 0; }

const char *command_library(Arena *a)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = 0;
        char *slash = strrchr(exe, '/');
        if (slash) *slash = 0;
        const char *share = arena_printf(a, "%s/../share/rtc/models", exe);
        if (is_file(share)) return rundir_absolute(a, share);
    }
    return is_file(RTC_MODELS_DIR) ? RTC_MODELS_DIR : NULL;
}

/* What surely is no model is called by its name. */
static const char *require_text(Command *c, const char *path)
{
    static const char ir[] = "rtc-ir ";
    char head[sizeof ir] = "";
    FileKind kind = file_kind(path);
    if (kind == FILE_TEXT) {
        FILE *f = fopen(path, "rb");
        if (f && !fgets(head, sizeof head, f)) head[0] = 0;
        if (f) fclose(f);
        if (!strcmp(head, ir))
            diag_fail(c->diag, "%s is a graph, as `rtc opt` writes it, and no model\n"
                               "hint: `rtc opt` reads it; elsewhere a model (.rt) is needed", path);
    }
    if (kind != FILE_TEXT && kind != FILE_BINARY && kind != FILE_MISSING && kind != FILE_EMPTY)
        diag_fail(c->diag, "%s is no model: this is %s", path, file_kind_name(kind));
    return path;
}

const char *command_model(Command *c, const char *path)
{
    static const char folder[] = "models/";
    if (is_file(path)) return require_text(c, path);
    const char *library = command_library(c->arena);
    const char *name = path;
    if (!strncmp(name, folder, sizeof folder - 1)) name += sizeof folder - 1;
    if (library && path[0] != '/') {
        const char *shipped = arena_printf(c->arena, "%s/%s", library, name);
        if (is_file(shipped)) return shipped;
        shipped = arena_printf(c->arena, "%s.rt", shipped);
        if (is_file(shipped)) return shipped;
    }
    char cwd[PATH_MAX];
    diag_fail(c->diag, "there is no model %s\nlooked in %s%s%s", path,
              getcwd(cwd, sizeof cwd) ? cwd : "the current directory", library ? " and in " : "",
              library ? library : "");
}

CacheOptions command_cache(Command *c)
{
    return (CacheOptions){.dir = options_text(c->options, OPTION_cache),
                          .off = options_given(c->options, OPTION_no_cache)};
}

static const Override *overrides(Command *c, int *n)
{
    OptionValues set = options_values(c->options, OPTION_set);
    Override *out = NEW_N(c->arena, Override, set.n + 1);
    for (int i = 0; i < set.n; i++) {
        const char *equals = strchr(set.v[i], '=');
        if (!equals || equals == set.v[i])
            diag_fail_status(c->diag, 2, "--set takes NAME=VALUE, got `%s`", set.v[i]);
        out[i].name = arena_strndup(c->arena, set.v[i], (size_t)(equals - set.v[i]));
        out[i].value = equals + 1;
    }
    *n = set.n;
    return out;
}

/* --dump STAGE[:FILE]: several are told apart here, so the compiler is asked for all stages. */
static void dump_stage(void *ctx, const char *stage, const char *text)
{
    Command *c = ctx;
    OptionValues dumps = options_values(c->options, OPTION_dump);
    for (int i = 0; i < dumps.n; i++) {
        size_t n = strcspn(dumps.v[i], ":");
        bool all = n == 3 && !strncmp(dumps.v[i], "all", n);
        if (!all && (strlen(stage) != n || strncmp(dumps.v[i], stage, n))) continue;
        if (dumps.v[i][n]) file_save(c->diag, dumps.v[i] + n + 1, text, strlen(text));
        else fprintf(stderr, "# %s\n%s", stage, text);
    }
}

/* How far compiling is, while it is. */
static void show_compiling(void *ctx, int done, int parts, int kernels)
{
    Progress *p = ctx;
    double now = progress_seconds();
    if (!parts) p->start = now;
    if (!parts) progress_say(p, now, "compiling: passes");
    else if (done < parts)
        progress_say(p, now, "compiling: %d of %d parts, %d kernels in all, %.0f s", done, parts,
                     kernels, now - p->start);
    else progress_clear(p);
}

static void clear_compiling(void *p) { progress_clear(p); }

SessionOptions command_session(Command *c, const char *file)
{
    const Options *o = c->options;
    SessionOptions s = {.file = file, .library = command_library(c->arena),
                        .seed = command_seed(c)};
    s.set = overrides(c, &s.nset);
    int64_t threads = options_integer(o, OPTION_threads);
    OptionValues dumps = options_values(o, OPTION_dump);
    s.compile = (CompileOptions){.device = options_text(o, OPTION_device),
                                 .pipeline = options_text(o, OPTION_pipeline),
                                 .threads = threads < 0 ? 0 : (int)threads,
                                 .cache = command_cache(c)};
    if (!c->compiling) {
        c->compiling = NEW(c->arena, Progress);
        *c->compiling = progress_begin(stderr, c->quiet, 0, 1, 1);
        command_keep(c, clear_compiling, c->compiling);
    }
    s.compile.progress = show_compiling;
    s.compile.progress_ctx = c->compiling;
    if (dumps.n) {
        s.compile.dump_after = dumps.n > 1 ? "all" : arena_strndup(c->arena, dumps.v[0],
                                                                   strcspn(dumps.v[0], ":"));
        s.compile.dump = dump_stage;
        s.compile.dump_ctx = c;
    }
    return s;
}

static void release_session(void *s) { session_close(s); }
static void release_program(void *p) { program_free(p); }
static void release_data(void *d) { data_close(d); }

Session *command_open_session(Command *c, const SessionOptions *o)
{
    Session *s = session_open(c->diag, o);
    command_keep(c, release_session, s);
    return s;
}

Session *command_open(Command *c, const char *path)
{
    SessionOptions o = command_session(c, command_model(c, path));
    return command_open_session(c, &o);
}

Unit *command_unit(Command *c, const char *path, bool training, bool grad)
{
    SessionOptions o = command_session(c, command_model(c, path));
    Program *p = program_load(c->diag, &(LoadOptions){.path = o.file, .library = o.library,
                                                      .set = o.set, .nset = o.nset,
                                                      .training = training});
    command_keep(c, release_program, p);
    OptionValues sizes = options_values(c->options, OPTION_size);
    Unit *u = NEW(c->arena, Unit);
    u->diag = c->diag;
    u->arena = c->arena;
    u->graph = p->graph;
    u->want_grad = grad;
    u->hint_default = 1024;
    u->hint = trial_sizes(c->diag, c->arena, p->graph, sizes, 1024);
    u->dump_after = o.compile.dump_after;
    u->dump = o.compile.dump;
    u->dump_ctx = c;
    pipeline_run(u, o.compile.pipeline ? o.compile.pipeline : pipeline_default);
    if (c->verbose) print_passes(u);
    return u;
}

Data *command_data(Command *c, Session *s, const DataOptions *o)
{
    DataOptions all = *o;
    PairRules rules;
    all.num_tokens = session_option(s, "num_tokens", 65536);     /* what fits in a token file */
    if (feed_takes_pairs(s)) {
        rules = feed_rules(s);
        all.pairs = &rules;
    }
    Data *data = data_open(c->diag, c->arena, &all);
    command_keep(c, release_data, data);
    return data;
}

Data *command_data_all(Command *c, OptionValues files, int64_t num_tokens)
{
    Data *data = data_open_all(c->diag, c->arena, files.v, files.n, num_tokens);
    command_keep(c, release_data, data);
    return data;
}

uint64_t command_seed(const Command *c)
{
    return (uint64_t)options_integer(c->options, OPTION_seed);
}

/* What the run was trained with, then what the command line says: the last one counts. */
static const Override *both(Arena *a, const RunConfig *run, const Override *set, int nset)
{
    Override *all = NEW_N(a, Override, run->nset + nset + 1);
    for (int i = 0; i < run->nset; i++) all[i] = run->set[i];
    for (int i = 0; i < nset; i++) all[run->nset + i] = set[i];
    return all;
}

Run command_open_run(Command *c, const char *dir, const char *name)
{
    Run r = {.dir = dir, .config = rundir_read(c->diag, c->arena, dir)};
    if (!rundir_has(c->arena, dir, name))
        diag_fail(c->diag, "%s has no %s: training was stopped before anything was saved\n"
                           "hint: %s", dir, name,
                  r.config.command);
    SessionOptions o = command_session(c, rundir_path(c->arena, dir, "model.rt"));
    o.model = r.config.model;
    o.set = both(c->arena, &r.config, o.set, o.nset);
    o.nset += r.config.nset;
    r.session = command_open_session(c, &o);
    const char *path = rundir_path(c->arena, dir, name);
    r.state = checkpoint_load(c->diag, path, r.session, NULL);
    checkpoint_require_finite(c->diag, path, r.session->store);
    return r;
}

/* ---- saying things ---- */

void say(const Command *c, const char *fmt, ...)
{
    if (c->quiet) return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void print_passes(const Unit *u)
{
    for (int i = 0; i < u->stats.n; i++) {
        const PassStat *p = &u->stats.v[i];
        fprintf(stderr, "%-12s %8.2f ms  %6d -> %6d nodes  %6lld rewrites\n", p->name,
                1e3 * p->seconds, p->nodes_before, p->nodes_after, (long long)p->rewrites);
    }
}

void say_compiled(const Command *c, Executable *e, const Instance *in)
{
    if (!c->verbose) return;
    print_passes(exec_unit(e));
    ExecStats s = exec_stats(in);
    say(c, "%d kernels, launched %d times, %d library calls; compiled in %.2f s%s; arena %s\n",
        s.kernels, s.launches, s.library_calls, s.compile_seconds,
        s.cached ? " (from the cache)" : "", bytes_text(c->arena, (double)s.arena_bytes));
}

void say_warnings(Command *c)
{
    if (!c->quiet) fputs(diag_warnings(c->diag), stderr);
    diag_clear_warnings(c->diag);
}

const char *bytes_text(Arena *a, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (bytes >= 1024 && u + 1 < COUNT(units)) {
        bytes /= 1024;
        u++;
    }
    return arena_printf(a, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

const char *count_text(Arena *a, int64_t n)
{
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)n);
    Str s = {.arena = a};
    for (int i = 0; i < count; i++) {
        str_addn(&s, &digits[i], 1);
        int left = count - 1 - i;
        if (left && left % 3 == 0 && digits[i] != '-') str_add(&s, ",");
    }
    return s.s;
}

static void add_quoted(Str *s, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+./=,:@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        str_add(s, word);
        return;
    }
    str_add(s, "'");
    for (; *word; word++) {
        if (*word == '\'') str_add(s, "'\\''");
        else str_addn(s, word, 1);
    }
    str_add(s, "'");
}

const char *command_program(const Command *c)
{
    Str s = {.arena = c->arena};
    add_quoted(&s, c->argc ? c->argv[0] : "rtc");
    return s.s;
}

const char *command_line(const Command *c, const char *more)
{
    Str s = {.arena = c->arena};
    str_add(&s, command_program(c));
    for (int i = 1; i < c->argc; i++) {
        str_add(&s, " ");
        add_quoted(&s, c->argv[i]);
        if (more && !strcmp(c->argv[i], more)) more = NULL;
    }
    if (more) str_printf(&s, " %s", more);
    return s.s;
}

void print_json(Command *c, void *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (json) json_decref(json);
    if (!text) diag_bug(c->diag, "a JSON document can't be composed");
    puts(text);
    free(text);
}
