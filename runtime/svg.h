/* svg.h: curves over steps, as a self-contained SVG that reads well on light and dark pages. */
#ifndef RTC_RUNTIME_SVG_H
#define RTC_RUNTIME_SVG_H

#include "ir/diag.h"

typedef struct {
    const char *name;         /* in the legend */
    const double *x, *y;      /* n points, x ascending; a y that is not finite breaks the line */
    int n;
} SvgCurve;

#define SVG_MAX_CURVES 6

/* Writes the file whole or not (file.h). With log_y, what is not above 0 is left out. Long curves
 * are thinned to what a pixel column can show: the least and the greatest of its values. */
void svg_plot(Diag *d, const char *path, const char *title, const char *x_label,
              const char *y_label, bool log_y, const SvgCurve *curves, int n);

#endif
