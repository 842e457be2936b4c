/* cmd_emit.c: `rtc emit`: the program's kernels as source, with the lines of the model they
 * compute. */
#include "runtime/command.h"
#include "runtime/file.h"

int cmd_emit(Command *c)
{
    const Options *o = c->options;
    const char *dir = options_text(o, OPTION_emit_output);
    bool grad = options_given(o, OPTION_with_grad);
    const Plan *p = plan_make(command_unit(c, o->arguments[0], grad, grad));
    file_make_directory(c->diag, dir);
    plan_emit(p, dir);
    say(c, "%s: %d kernels, %d steps, %d library calls\n", dir, p->kernels.n, p->steps.n,
        p->library_calls);
    return 0;
}
