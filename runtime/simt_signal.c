/* simt_signal.c: accesses that leave memory, and divisions by zero, in the fast build too.
 * Contract: simt_machine.h.
 *
 * Around buffers, shared memory and stacks lies address space that nobody may touch. The handler
 * runs on a stack of its own, at whose begin it finds the machine (there is no other way to it
 * without a global), and continues in the host.
 */
#include "runtime/simt_machine.h"

#include <stdlib.h>
#include <ucontext.h>

enum { ALTERNATE = 64 << 10 }; /* the handler's stack: size and alignment */

void signals_make(Simt *s)
{
    if (posix_memalign((void **)&s->alternate, ALTERNATE, ALTERNATE)) diag_oom(s->diag);
    *(Simt **)(void *)s->alternate = s;
}

static uintptr_t program_counter(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    char here;
    Simt *s = *(Simt **)((uintptr_t)&here & ~(uintptr_t)(ALTERNATE - 1));
    if (s->cur == s->host) { /* not a kernel's: as if there were no handler */
        signal(number, SIG_DFL);
        return;
    }
    uintptr_t pc = program_counter(context);
    if (number == SIGFPE) report_division(s, pc);
    /* A vector instruction at an odd address gives no address. */
    bool general = info->si_code == SI_KERNEL;
    report_fault(s, general ? 0 : (uintptr_t)info->si_addr, pc, general);
}

void signals_take(Simt *s)
{
    struct sigaction a = {.sa_sigaction = on_fault,
                          .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = s->alternate, .ss_size = ALTERNATE};
    sigaltstack(&stack, &s->old_stack);
    sigaction(SIGSEGV, &a, &s->old_segv);
    sigaction(SIGBUS, &a, &s->old_bus);
    sigaction(SIGFPE, &a, &s->old_fpe);
}

void signals_give_back(Simt *s)
{
    sigaction(SIGSEGV, &s->old_segv, NULL);
    sigaction(SIGBUS, &s->old_bus, NULL);
    sigaction(SIGFPE, &s->old_fpe, NULL);
    sigaltstack(&s->old_stack, NULL);
}
