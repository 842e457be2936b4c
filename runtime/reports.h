/* reports.h: what the `report` statements of a model show, over the runs of an evaluation.
 *
 *     Reports *r = reports_new(arena, exec_program(e));   e was compiled with its reports
 *     reports_clear(r);
 *     for each run { ...exec_run...; reports_add(r, in, tokens); }
 *     reports_mean(r, i, k), reports_notes(arena, r)
 */
#ifndef RTC_RUNTIME_REPORTS_H
#define RTC_RUNTIME_REPORTS_H

#include "runtime/exec.h"

typedef struct {
    const ReportInfo *info;
    double *sum, *weight;            /* by element; of a text only the first, and sum counts runs */
} ReportSum;

typedef struct {
    int n;
    ReportSum *v;
    int numbers;                     /* elements of all that are no texts */
} Reports;

Reports *reports_new(Arena *a, const Program *p);
void reports_clear(Reports *r);
/* The values of the instance's last run; `weight` says how much they count in the means. */
void reports_add(Reports *r, Instance *in, double weight);
/* Element k of report i: its mean over the runs that had it; NaN if none had. */
double reports_mean(const Reports *r, int i, int64_t k);

/* For tables: one column per number, in order, named NAME, NAME[0], NAME[1][2] ... */
const char *const *reports_columns(Arena *a, const Reports *r);
void reports_cells(const Reports *r, double *cells);

/* The texts whose condition held in some run, each once, with where; one per line, "" if none. */
const char *reports_notes(Arena *a, const Reports *r);
/* All numbers as text: a table per module, a line per element. "" if there are none. */
const char *reports_table(Arena *a, const Reports *r);

#endif
