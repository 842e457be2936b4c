/* main.c: the `rtc` command: parses, dispatches, reports. */
#include <errno.h>
#include <stdio.h>
#include "runtime/command.h"

static int (*const commands[COMMANDS])(Command *) = {
#define COMMAND(id, ...) [COMMAND_##id] = cmd_##id,
#include "runtime/options.def"
};

static int run(Diag *d, Arena *a, StopFlag *stop, int argc, char **argv)
{
    const Options *o = options_parse(d, a, argc, argv);
    Command c = {.diag = d, .arena = a, .options = o, .stop = stop, .argc = argc, .argv = argv,
                 .quiet = options_given(o, OPTION_quiet),
                 .verbose = options_given(o, OPTION_verbose),
                 .json = options_given(o, OPTION_json)};
    int status = commands[o->command](&c);
    say_warnings(&c);
    command_release(&c);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        diag_fail(d, "cannot write the output: %s", strerror(errno));
    }
    return status;
}

int main(int argc, char **argv)
{
    streams_open();
    Diag *d = diag_new();
    Arena *a = d ? arena_new() : NULL;
    StopFlag *stop = interrupt_install();
    volatile int status = 1;
    if (!a) {
        fputs("rtc: out of memory\n", stderr);
        return 1;
    }
    arena_on_oom(a, diag_oom, d);
    diag_on_stop(d, stop);
    DIAG_TRY(d) { status = run(d, a, stop, argc, argv); }
    DIAG_CATCH(d)
    {
        fflush(stdout);
        fputs(diag_warnings(d), stderr);
        diag_clear_warnings(d);
        /* the signal may be the reason of the error: a compiler that it ended as well */
        fputs(stop_asked(stop) ? "interrupted\n" : diag_text(d), stderr);
        status = stop_asked(stop) ? 130 : diag_status(d);
    }
    DIAG_END(d)
    arena_free(a);
    diag_free(d);
    return status;
}
