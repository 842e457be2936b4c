/* cmd_help.c: `rtc help` and `rtc version`: what the table of options says. */
#include "runtime/command.h"

int cmd_help(Command *c)
{
    help_print(c->diag, c->arena, c->options);
    return 0;
}

int cmd_version(Command *c)
{
    version_print(c->options);
    return 0;
}
