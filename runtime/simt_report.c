/* simt_report.c: faults in words: which thread, which variable, which line of the text. Contract:
 * simt_machine.h. */
#include "runtime/simt_machine.h"

#include <ctype.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const fault_names[] = {
    [SIMT_OUT_OF_BOUNDS] = "out of bounds", [SIMT_RACE] = "race",
    [SIMT_UNINITIALISED] = "uninitialised", [SIMT_MISALIGNED] = "misaligned",
    [SIMT_DIVERGENT] = "divergent",         [SIMT_DEADLOCK] = "deadlock",
    [SIMT_IN_FLIGHT] = "copy in flight",    [SIMT_ARITHMETIC] = "arithmetic"};

const char *simt_fault_name(SimtFault f) { return fault_names[f]; }

/* ---- variables ---- */

const char *variable_at(Simt *s, uintptr_t p, int64_t *offset)
{
    const SimtModule *m = s->module;
    if (p - m->statics.begin < m->statics.end - m->statics.begin) {
        const SharedArray *v = array_near(m, p);
        *offset = v ? (int64_t)(p - v->begin) : 0;
        return v ? v->name : NULL;
    }
    if (p + 4096 - (uintptr_t)s->dynamic < DYNAMIC + 2 * 4096) {
        *offset = (int64_t)(p - s->dynamic_shared.begin);
        return s->dynamic_shared.name;
    }
    const Memory *r = buffer_near(s, p);
    *offset = r ? (int64_t)(p - r->begin) : (int64_t)p;
    return r ? r->name : NULL;
}

static size_t variable_bytes(Simt *s, const char *name)
{
    const SimtModule *m = s->module;
    for (int i = 0; i < m->narray; i++)
        if (m->array[i].name == name) return m->array[i].end - m->array[i].begin;
    if (name == s->dynamic_shared.name) return s->dynamic_bytes;
    for (int i = 0; i < BUFFERS; i++)
        if (s->buffer[i] && s->buffer[i]->name == name)
            return s->buffer[i]->end - s->buffer[i]->begin;
    return 0;
}

/* ---- adding ---- */

static bool known(const Simt *s, const Finding *found)
{
    for (int i = 0; i < s->nreport; i++) {
        const SimtReport *r = &s->report[i];
        bool same_place =
            found->from ? s->place[i] == found->from : !s->place[i] && r->line == found->line;
        if (same_place && r->fault == found->fault &&
            !strcmp(r->variable, found->variable ? found->variable : ""))
            return true;
    }
    return false;
}

void report_add(Simt *s, const Fiber *f, Finding found, const char *fmt, ...)
{
    if (!known(s, &found)) {
        SimtReport *r = &s->report[s->nreport];
        s->place[s->nreport++] = found.line ? 0 : found.from;
        *r = (SimtReport){.fault = found.fault,
                          .block = s->block,
                          .thread = f->here.index,
                          .offset = found.offset,
                          .line = found.line};
        size_t n = sizeof r->text, bytes = found.variable ? variable_bytes(s, found.variable) : 0;
        SimtDim b = r->block, t = r->thread;
        snprintf(r->variable, sizeof r->variable, "%s", found.variable ? found.variable : "");
        size_t at = (size_t)snprintf(
            r->text, n, "%s: %s, block (%u,%u,%u) thread (%u,%u,%u): ", fault_names[found.fault],
            s->kernel->name, b.x, b.y, b.z, t.x, t.y, t.z);
        va_list ap;
        va_start(ap, fmt);
        if (at < n) at += (size_t)vsnprintf(r->text + at, n - at, fmt, ap);
        va_end(ap);
        if (bytes && at < n)
            snprintf(r->text + at, n - at, ": `%.63s`, byte %lld of %zu", found.variable,
                     (long long)found.offset, bytes);
        else if (found.variable && at < n)
            snprintf(r->text + at, n - at, ": `%.63s`", found.variable);
    }
    if (found.stop || s->nreport == REPORTS) fiber_abort(s);
}

/* ---- mistakes that the compiler's own checks found ---- */

/* The text of a line, NULL if there is none. */
static const char *source_line(const SimtModule *m, int line, int *length)
{
    const char *p = m->text;
    for (int i = 1; p && i < line; i++) {
        p = strchr(p, '\n');
        if (p) p++;
    }
    if (!p) return NULL;
    *length = (int)strcspn(p, "\n");
    return p;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* The identifier that an index at [line:column] belongs to: a[i], a[i][j]. */
static const char *indexed(Simt *s, int line, int column, char *name, size_t size)
{
    int length = 0;
    const char *text = source_line(s->module, line, &length);
    int end = column - 1;
    if (!text || end > length) return NULL;
    while (end > 0 && (text[end - 1] == ']' || text[end - 1] == ' ')) {
        if (text[--end] == ' ') continue;
        for (int depth = 1; end > 0 && depth > 0;) {
            end--;
            depth += (text[end] == ']') - (text[end] == '[');
        }
    }
    int begin = end;
    while (begin > 0 && is_word(text[begin - 1])) begin--;
    if (begin == end) return NULL;
    snprintf(name, size, "%.*s", end - begin, text + begin);
    return name;
}

void report_mistake(Simt *s, SimtMistake what, int line, int column, uint64_t value)
{
    char name[64];
    long long v = (long long)value;
    Finding found = {.fault = SIMT_ARITHMETIC, .line = line, .stop = true};
    switch (what) {
    case SIMT_BAD_INDEX:
        found.fault = SIMT_OUT_OF_BOUNDS;
        found.variable = indexed(s, line, column, name, sizeof name);
        report_add(s, s->cur, found, "uses index %lld, which the array doesn't have", v);
        break;
    case SIMT_BAD_ADDRESS:
        found.fault = SIMT_MISALIGNED;
        found.variable = variable_at(s, value, &found.offset);
        report_add(s, s->cur, found,
                   "uses an address that isn't aligned to the type it is used for");
        break;
    case SIMT_BAD_SHIFT:
        report_add(s, s->cur, found, "shifts by %lld", v);
        break;
    case SIMT_BAD_DIVISION:
        report_add(s, s->cur, found, "divides by zero, or the result doesn't fit");
        break;
    case SIMT_BAD_CONVERSION:
        report_add(s, s->cur, found, "converts a number that the integer type doesn't have");
        break;
    }
}

/* A signal's place: an instruction of the text, or else the operation that the thread is in. */
static Finding signalled(const Simt *s, SimtFault fault, uintptr_t pc)
{
    bool in_text = pc - s->module->begin < s->module->end - s->module->begin;
    Finding found = {.fault = fault, .stop = true, .from = in_text ? pc + 1 : 0};
    if (!in_text) found.line = s->cur->line;
    return found;
}

void report_division(Simt *s, uintptr_t pc)
{
    report_add(s, s->cur, signalled(s, SIMT_ARITHMETIC, pc),
               "divides by zero, or the result doesn't fit");
    fiber_abort(s);
}

void report_fault(Simt *s, uintptr_t address, uintptr_t pc, bool general)
{
    Finding found = signalled(s, SIMT_OUT_OF_BOUNDS, pc);
    if (general) {
        found.fault = SIMT_MISALIGNED;
        report_add(
            s, s->cur, found,
            "uses an address that isn't aligned to the vector it is used for, or is no address");
    }
    if (address - (uintptr_t)s->stacks < (size_t)THREADS * STACK)
        report_add(s, s->cur, found, "needs more than %d bytes of local memory", STACK);
    found.variable = variable_at(s, address, &found.offset);
    if (found.variable) report_add(s, s->cur, found, "leaves the memory");
    report_add(s, s->cur, found, "uses an address that is no memory: %#llx",
               (unsigned long long)address);
    fiber_abort(s);
}

/* ---- lines ---- */

/* Starts addr2line on the object (from memory, as descriptor 3), its output to a pipe; -1: can't.
 */
static pid_t start_addr2line(const SimtModule *m, char *const *argv, int *out)
{
    int fd = memfd_create("simt-object", MFD_CLOEXEC), ends[2];
    if (fd < 0) return -1;
    pid_t pid = -1;
    posix_spawn_file_actions_t fa;
    if (write(fd, m->image, m->image_bytes) == (ssize_t)m->image_bytes &&
        pipe2(ends, O_CLOEXEC) == 0) {
        if (posix_spawn_file_actions_init(&fa) == 0) {
            bool ok = posix_spawn_file_actions_adddup2(&fa, ends[1], 1) == 0 &&
                      posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0) == 0 &&
                      posix_spawn_file_actions_adddup2(&fa, fd, 3) == 0;
            if (!ok || posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ) != 0) pid = -1;
            posix_spawn_file_actions_destroy(&fa);
        }
        close(ends[1]);
        *out = ends[0];
        if (pid < 0) close(ends[0]);
    }
    close(fd);
    return pid;
}

/* Lines of the places, as addr2line prints them: file:line; only lines of the text itself count. */
static void read_lines(Simt *s, int out)
{
    FILE *f = fdopen(out, "r");
    char text[512];
    if (!f) {
        close(out);
        return;
    }
    for (int i = 0; i < s->nreport; i++) {
        if (!s->place[i]) continue;
        if (!fgets(text, sizeof text, f)) break;
        const char *colon = strrchr(text, ':');
        size_t n = colon ? (size_t)(colon - text) : 0, name = strlen(s->module->name);
        if (n >= name && !strncmp(colon - name, s->module->name, name))
            s->report[i].line = atoi(colon + 1);
    }
    fclose(f);
}

static bool is_shared_array(const SimtModule *m, const char *name, int length)
{
    for (int i = 0; i < m->narray; i++)
        if (!strncmp(m->array[i].name, name, (size_t)length) && !m->array[i].name[length])
            return true;
    return false;
}

/* Objects say nothing of locals: the name of the only array that the line indexes, if it is no
 * field and not shared. */
static void name_local(const SimtModule *m, SimtReport *r, const char *text, int length)
{
    const char *name = NULL;
    int n = 0;
    for (int i = 0; i < length; i++) {
        int begin = i;
        while (i < length && is_word(text[i])) i++;
        bool field = begin > 0 && (text[begin - 1] == '.' || text[begin - 1] == '>');
        if (i == begin || i == length || text[i] != '[' || field ||
            is_shared_array(m, text + begin, i - begin))
            continue;
        if (name && (n != i - begin || strncmp(name, text + begin, (size_t)n))) return;
        name = text + begin, n = i - begin;
    }
    if (!name || n >= (int)sizeof r->variable) return;
    size_t at = strlen(r->text);
    snprintf(r->variable, sizeof r->variable, "%.*s", n, name);
    snprintf(r->text + at, sizeof r->text - at, ": `%.*s`", n, name);
}

static void add_place(Simt *s, SimtReport *r)
{
    int length = 0;
    const char *text = r->line ? source_line(s->module, r->line, &length) : NULL;
    if (text && r->fault == SIMT_UNINITIALISED && !r->variable[0])
        name_local(s->module, r, text, length);
    size_t n = sizeof r->text, at = strlen(r->text);
    if (r->line)
        at += (size_t)snprintf(r->text + at, n - at, "\n  %s:%d", s->module->name, r->line);
    while (length && isspace((unsigned char)*text)) text++, length--;
    if (text && at < n) snprintf(r->text + at, n - at, ": %.*s", length > 100 ? 100 : length, text);
}

void report_resolve(Simt *s)
{
    char at[REPORTS][24];
    char *argv[REPORTS + 4] = {"addr2line", "-e", "/dev/fd/3"};
    int n = 0, out = -1;
    for (int i = 0; i < s->nreport; i++) {
        if (!s->place[i]) continue;
        snprintf(at[n], sizeof at[n], "0x%llx",
                 (unsigned long long)(s->place[i] - 1 - s->module->base));
        argv[3 + n] = at[n];
        n++;
    }
    pid_t pid = n ? start_addr2line(s->module, argv, &out) : -1;
    if (pid > 0) {
        read_lines(s, out);
        while (waitpid(pid, NULL, 0) < 0) continue;
    }
    for (int i = 0; i < s->nreport; i++) add_place(s, &s->report[i]);
}
