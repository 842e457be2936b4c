/* main.c: the `rtc` command: parses, dispatches, reports. */
#include <errno.h>
#include <stdio.h>
#include "runtime/options.h"

static int run(Diag *d, Arena *a, int argc, char **argv)
{
    const Options *o = options_parse(d, a, argc, argv);
    int status = 0;
    switch (o->command) {
    case COMMAND_help: help_print(d, a, o); break;
    case COMMAND_version: version_print(o); break;
    default: diag_fail(d, "this build of rtc has no `%s`", command_info[o->command].name);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        diag_fail(d, "cannot write the output: %s", strerror(errno));
    }
    return status;
}

int main(int argc, char **argv)
{
    Diag *d = diag_new();
    Arena *a = d ? arena_new() : NULL;
    volatile int status = 1;
    if (!a) {
        fputs("rtc: out of memory\n", stderr);
        return 1;
    }
    arena_on_oom(a, diag_oom, d);
    DIAG_TRY(d) { status = run(d, a, argc, argv); }
    DIAG_CATCH(d)
    {
        fflush(stdout);
        fputs(diag_warnings(d), stderr);
        diag_clear_warnings(d);
        fprintf(stderr, "%s", diag_text(d));
        status = diag_status(d);
    }
    DIAG_END(d)
    fputs(diag_warnings(d), stderr);
    arena_free(a);
    diag_free(d);
    return status;
}
