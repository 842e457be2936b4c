/* reports.c: see reports.h. */
#include <math.h>
#include "runtime/reports.h"

Reports *reports_new(Arena *a, const Program *p)
{
    Reports *r = NEW(a, Reports);
    r->n = p->reports.n;
    r->v = NEW_N(a, ReportSum, r->n + 1);
    for (int i = 0; i < r->n; i++) {
        const ReportInfo *info = &p->reports.v[i];
        r->v[i] = (ReportSum){info, NEW_N(a, double, info->count + 1),
                              NEW_N(a, double, info->count + 1)};
        if (!info->text) r->numbers += (int)info->count;
    }
    return r;
}

void reports_clear(Reports *r)
{
    for (int i = 0; i < r->n; i++)
        for (int64_t k = 0; k < r->v[i].info->count; k++) r->v[i].sum[k] = r->v[i].weight[k] = 0;
}

void reports_add(Reports *r, Instance *in, double weight)
{
    for (int i = 0; i < r->n; i++) {
        ReportSum *s = &r->v[i];
        Value v;
        if (!exec_output(in, s->info->output, &v)) continue;
        for (int64_t k = 0; k < v.count; k++) {
            bool text = s->info->text != NULL;
            double x = text ? ((const uint8_t *)v.data)[k] : ((const float *)v.data)[k];
            if (x == (double)(float)LOWEST) continue;        /* missing in this run */
            s->sum[k] += text ? x : weight * x;
            s->weight[k] += weight;
        }
    }
}

double reports_mean(const Reports *r, int i, int64_t k)
{
    return r->v[i].weight[k] > 0 ? r->v[i].sum[k] / r->v[i].weight[k] : NAN;
}

/* "" or "[1][2]": element k of a report. */
static const char *index_text(Arena *a, const ReportInfo *info, int64_t k)
{
    const char *text = "";
    for (int i = info->rank; i-- > 0;) {
        text = arena_printf(a, "[%lld]%s", (long long)(k % info->shape[i]), text);
        k /= info->shape[i];
    }
    return text;
}

const char *const *reports_columns(Arena *a, const Reports *r)
{
    const char **names = NEW_N(a, const char *, r->numbers + 1);
    int n = 0;
    for (int i = 0; i < r->n; i++)
        for (int64_t k = 0; !r->v[i].info->text && k < r->v[i].info->count; k++)
            names[n++] = arena_printf(a, "%s%s", r->v[i].info->name,
                                      index_text(a, r->v[i].info, k));
    return names;
}

void reports_cells(const Reports *r, double *cells)
{
    int n = 0;
    for (int i = 0; i < r->n; i++)
        for (int64_t k = 0; !r->v[i].info->text && k < r->v[i].info->count; k++)
            cells[n++] = reports_mean(r, i, k);
}

/* ---- texts ---- */

static bool holds(const Reports *r, int i) { return r->v[i].info->text && r->v[i].sum[0] > 0; }

static bool same_text(const Reports *r, int i, int j)
{
    return holds(r, j) && !strcmp(r->v[i].info->text, r->v[j].info->text);
}

const char *reports_notes(Arena *a, const Reports *r)
{
    Str s = {.arena = a};
    for (int i = 0; i < r->n; i++) {
        int more = 0;
        bool said = false;
        if (!holds(r, i)) continue;
        for (int j = 0; j < r->n; j++) {
            said = said || (j < i && same_text(r, i, j));
            more += j > i && same_text(r, i, j);
        }
        if (said) continue;
        str_printf(&s, "note: %s\n      (%s", r->v[i].info->text, r->v[i].info->name);
        if (more) str_printf(&s, " and %d more", more);
        str_add(&s, ")\n");
    }
    return s.s ? s.s : "";
}

/* ---- the table ---- */

/* Length of the module's path in a name: up to the last dot. */
static size_t path_length(const ReportInfo *info)
{
    const char *dot = strrchr(info->name, '.');
    return dot ? (size_t)(dot - info->name) : 0;
}

static bool share_table(const ReportInfo *x, const ReportInfo *y)
{
    size_t n = path_length(x);
    return !x->text && !y->text && path_length(y) == n && !memcmp(x->name, y->name, n) &&
           x->rank == y->rank &&
           !memcmp(x->shape, y->shape, sizeof *x->shape * (size_t)x->rank);
}

static const char *last_name(const ReportInfo *info)
{
    size_t n = path_length(info);
    return info->name + n + (n > 0);
}

/* The reports in turn[0..n) have one shape: a line per element, a column per report. */
static void add_table(Str *s, const Reports *r, const int *turn, int n)
{
    const ReportInfo *info = r->v[turn[0]].info;
    str_printf(s, "%.*s\n%-8s", (int)path_length(info), info->name, "");
    for (int c = 0; c < n; c++) str_printf(s, "  %10s", last_name(r->v[turn[c]].info));
    str_add(s, "\n");
    for (int64_t k = 0; k < info->count; k++) {
        str_printf(s, "%8s", index_text(s->arena, info, k));
        for (int c = 0; c < n; c++) {
            int width = (int)strlen(last_name(r->v[turn[c]].info));
            double x = reports_mean(r, turn[c], k);
            if (width < 10) width = 10;
            if (isnan(x)) str_printf(s, "  %*s", width, "-");
            else str_printf(s, "  %*.4g", width, x);
        }
        str_add(s, "\n");
    }
}

const char *reports_table(Arena *a, const Reports *r)
{
    Str s = {.arena = a};
    bool *done = NEW_N(a, bool, r->n + 1);
    int *turn = NEW_N(a, int, r->n + 1);
    for (int i = 0; i < r->n; i++) {
        int n = 0;
        if (done[i] || r->v[i].info->text) continue;
        for (int j = i; j < r->n; j++)
            if (!done[j] && share_table(r->v[i].info, r->v[j].info)) done[turn[n++] = j] = true;
        add_table(&s, r, turn, n);
    }
    return s.s ? s.s : "";
}
