/* cmd_convert.c: `rtc convert`: a file's tensors under the names of another program. */
#include <unistd.h>
#include "runtime/command.h"
#include "runtime/convert.h"

/* NAME.map of the shipped models, or a path to a map. */
static const char *find_map(Command *c, const char *name)
{
    const char *library = command_library(c->arena);
    if (strchr(name, '/') || access(name, R_OK) == 0) return name;
    const char *path = library ? arena_printf(c->arena, "%s/%s.map", library, name) : NULL;
    if (path && access(path, R_OK) == 0) return path;
    diag_fail(c->diag, "no names are known for `%s`\nlooked for the file %s%s%s", name, name,
              path ? " and for " : "", path ? path : "");
}

static void free_program(void *p) { program_free(p); }

static void convert(Command *c, const NameMap *m, bool from)
{
    const Options *o = c->options;
    const char *out = options_text(o, OPTION_convert_output);
    if (o->narguments < 2 || !out)
        diag_fail_status(c->diag, 2, "convert needs IN.safetensors and -o OUT.safetensors, or "
                                     "--list");
    convert_file(c->diag, m, from, o->arguments[1], out);
    say(c, "%s: %s has the tensors of %s\n", m->path, out, o->arguments[1]);
}

int cmd_convert(Command *c)
{
    const Options *o = c->options;
    bool from = options_given(o, OPTION_from);
    if (from == options_given(o, OPTION_to))
        diag_fail_status(c->diag, 2, "convert needs one of --from NAME and --to NAME");
    if (options_given(o, OPTION_convert_output) && o->narguments < 2)
        diag_fail_status(c->diag, 2, "--output has no effect without IN.safetensors");
    const char *map = find_map(c, options_text(o, from ? OPTION_from : OPTION_to));
    SessionOptions s = command_session(c, command_model(c, o->arguments[0]));
    Program *p = program_load(c->diag, &(LoadOptions){.path = s.file, .library = s.library,
                                                      .set = s.set, .nset = s.nset,
                                                      .training = true});
    diag_defer(c->diag, free_program, p);
    NameMap *m = namemap_read(c->diag, c->arena, map, p);
    if (c->verbose || options_given(o, OPTION_convert_list)) {
        Str text = {.arena = c->arena};
        convert_list(m, &text);
        fputs(text.s ? text.s : "", options_given(o, OPTION_convert_list) ? stdout : stderr);
    }
    if (o->narguments > 1 || !options_given(o, OPTION_convert_list)) convert(c, m, from);
    diag_undefer(c->diag);
    program_free(p);
    return 0;
}
