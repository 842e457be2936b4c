/* csvlog.h: the table a training run leaves, one row per logged step, on the disk at once.
 *
 * The first column is the step. A resumed run drops the rows of steps that it will make again,
 * and a row cut by a crash, so the file reads as if the run had never stopped.
 */
#ifndef RTC_RUNTIME_CSVLOG_H
#define RTC_RUNTIME_CSVLOG_H

#include <math.h>
#include "ir/diag.h"

typedef struct CsvLog CsvLog;

/* A value that isn't there in this row: its cell stays empty. */
#define CSVLOG_NONE (-HUGE_VAL)

/* A new file of `columns` only, or, where resume_step >= 0, the old one without the rows of steps
 * after resume_step. Errors: the old file has other columns; cannot write. An old file that is
 * missing is begun anew, with a warning. The log lives in `a`; close in reverse order of opening
 * (diag_defer). */
CsvLog *csvlog_open(Diag *d, Arena *a, const char *path, const char *const *columns, int ncolumns,
                    int64_t resume_step);
void csvlog_row(CsvLog *log, int64_t step, const double *values);   /* ncolumns - 1 values */
void csvlog_close(CsvLog *log);

typedef struct {
    const char **columns;
    int ncolumns, nrows;
    double *values;      /* [nrows, ncolumns]; CSVLOG_NONE where a cell is empty */
} CsvTable;

/* Reads a log back, without a cut last row. Errors: cannot read, a cell that is no number. */
CsvTable csvlog_read(Diag *d, Arena *a, const char *path);
int csvlog_column(const CsvTable *t, const char *name);             /* -1 if it isn't there */

#endif
