/* svg.c: see svg.h. */
#include <math.h>
#include <stdio.h>
#include "runtime/file.h"
#include "runtime/svg.h"

enum { WIDTH = 760, HEIGHT = 440, LEFT = 68, RIGHT = 24, TOP = 48, BOTTOM = 52 };
enum { COLUMNS = WIDTH - LEFT - RIGHT };

static const char style[] =
    "<style>\n"
    ".back{fill:#fff}.text{fill:#333;font:13px system-ui,sans-serif}\n"
    ".grid{stroke:#e3e3e3}.frame{stroke:#888;fill:none}.curve{fill:none;stroke-width:1.6;"
    "stroke-linejoin:round;stroke-linecap:round}\n"
    ".c0{stroke:#1769aa}.c1{stroke:#c2410c}.c2{stroke:#15803d}.c3{stroke:#7e22ce}"
    ".c4{stroke:#a16207}.c5{stroke:#be185d}\n"
    "@media (prefers-color-scheme:dark){.back{fill:#16181c}.text{fill:#d6d6d6}"
    ".grid{stroke:#2c2f36}.frame{stroke:#777}\n"
    ".c0{stroke:#6bb6ff}.c1{stroke:#ff9a6b}.c2{stroke:#6bdc8f}.c3{stroke:#cf9bff}"
    ".c4{stroke:#e8c15a}.c5{stroke:#ff8fc0}}\n"
    "</style>\n";

typedef struct {
    double low, high;
    bool log;
} Axis;

typedef struct {
    FileWriter *w;
    Axis x, y;
} Plot;

/* ---- axes ---- */

static bool shown(double y, bool log_y) { return isfinite(y) && (!log_y || y > 0); }

static Axis axis_around(double low, double high, bool log, double margin)
{
    if (!(low <= high)) return (Axis){log ? 0.1 : 0, 1, log};   /* no points */
    double a = log ? log10(low) : low, b = log ? log10(high) : high;
    double room = b > a ? (b - a) * margin : log ? 0.1 : fmax(fabs(a) * 0.1, 0.5);
    a -= room;
    b += room;
    return log ? (Axis){pow(10, a), pow(10, b), log} : (Axis){a, b, log};
}

static double place(Axis a, double v)
{
    return a.log ? log10(v / a.low) / log10(a.high / a.low) : (v - a.low) / (a.high - a.low);
}
static double px(const Plot *p, double x) { return LEFT + place(p->x, x) * COLUMNS; }
static double py(const Plot *p, double y)
{
    return HEIGHT - BOTTOM - place(p->y, y) * (HEIGHT - TOP - BOTTOM);
}

/* The 1, 2 or 5 times a power of ten that cuts the range into at most about 7. */
static double nice_step(double range)
{
    double raw = range / 7, power = pow(10, floor(log10(raw))), lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

enum { MAX_TICKS = 64 };

static int ticks(Axis a, double *out)
{
    int n = 0;
    if (a.log && a.high / a.low > 5) {
        bool many = a.high / a.low > 1e3;    /* then powers of ten alone */
        for (double power = pow(10, floor(log10(a.low))); power <= a.high; power *= 10) {
            for (int lead = 1; lead <= 5 && n < MAX_TICKS; lead += lead == 1 ? 1 : 3) {
                double v = power * lead;
                if (v >= a.low && v <= a.high && (lead == 1 || !many)) out[n++] = v;
            }
        }
        return n;
    }
    double step = nice_step(a.high - a.low);
    for (double k = ceil(a.low / step); k * step <= a.high && n < MAX_TICKS; k++) {
        out[n++] = k * step;
    }
    return n;
}

/* ---- drawing ---- */

static void text(Plot *p, double x, double y, const char *more, const char *s)
{
    file_printf(p->w, "<text class=\"text\" x=\"%.1f\" y=\"%.1f\" %s>", x, y, more);
    for (; *s; s++) {
        switch (*s) {
        case '<': file_printf(p->w, "&lt;"); break;
        case '&': file_printf(p->w, "&amp;"); break;
        default: file_write(p->w, s, 1);
        }
    }
    file_printf(p->w, "</text>\n");
}

static void number(Plot *p, double x, double y, const char *more, double v)
{
    char s[32];
    snprintf(s, sizeof s, "%.6g", fabs(v) < 1e-12 ? 0 : v);
    text(p, x, y, more, s);
}

static void draw_axes(Plot *p, const char *title, const char *x_label, const char *y_label)
{
    double at[MAX_TICKS], bottom = HEIGHT - BOTTOM;
    int n = ticks(p->x, at);
    for (int i = 0; i < n; i++) {
        double x = px(p, at[i]);
        file_printf(p->w, "<path class=\"grid\" d=\"M%.1f %dV%.1f\"/>\n", x, TOP, bottom);
        number(p, x, bottom + 18, "text-anchor=\"middle\"", at[i]);
    }
    n = ticks(p->y, at);
    for (int i = 0; i < n; i++) {
        double y = py(p, at[i]);
        file_printf(p->w, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, WIDTH - RIGHT);
        number(p, LEFT - 8, y + 4, "text-anchor=\"end\"", at[i]);
    }
    file_printf(p->w, "<path class=\"frame\" d=\"M%d %dV%.1fH%d\"/>\n", LEFT, TOP, bottom,
                WIDTH - RIGHT);
    text(p, LEFT, 28, "style=\"font-size:15px;font-weight:600\"", title);
    text(p, LEFT + COLUMNS / 2.0, HEIGHT - 12, "text-anchor=\"middle\"", x_label);
    text(p, 0, 0, "text-anchor=\"middle\" transform=\"translate(16 220) rotate(-90)\"", y_label);
}

static void draw_legend(Plot *p, const SvgCurve *curves, int n)
{
    double x = WIDTH - RIGHT;
    for (int i = n - 1; i >= 0; i--) {
        x -= 40 + 7.5 * (double)strlen(curves[i].name);
        file_printf(p->w, "<path class=\"curve c%d\" d=\"M%.1f 24h18\"/>\n", i, x);
        text(p, x + 24, 28, "", curves[i].name);
    }
}

typedef struct {
    Plot *p;
    bool drawing;            /* the last point was shown, so a line leads to the next */
} Pen;

static void pen_to(Pen *pen, const SvgCurve *c, int i)
{
    Plot *p = pen->p;
    if (!shown(c->y[i], p->y.log)) {
        pen->drawing = false;
    } else {
        file_printf(p->w, "%c%.1f %.1f", pen->drawing ? 'L' : 'M', px(p, c->x[i]), py(p, c->y[i]));
        if (!pen->drawing) file_printf(p->w, "h0");        /* a lone point is a dot */
        pen->drawing = true;
    }
}

/* The points [from, to) in one pixel column: the least and the greatest, in their order. */
static void draw_column(Pen *pen, const SvgCurve *c, int from, int to)
{
    int low = -1, high = -1;
    for (int i = from; i < to; i++) {
        if (!shown(c->y[i], pen->p->y.log)) continue;
        if (low < 0 || c->y[i] < c->y[low]) low = i;
        if (high < 0 || c->y[i] > c->y[high]) high = i;
    }
    if (low < 0) {
        pen->drawing = false;
    } else {
        pen_to(pen, c, low < high ? low : high);
        if (low != high) pen_to(pen, c, low < high ? high : low);
    }
}

static void draw_curve(Plot *p, const SvgCurve *c, int color)
{
    Pen pen = {p, false};
    file_printf(p->w, "<path class=\"curve c%d\" d=\"", color);
    if (c->n <= 2 * COLUMNS) {
        for (int i = 0; i < c->n; i++) pen_to(&pen, c, i);
    } else {
        for (int k = 0; k < COLUMNS; k++) {
            int from = (int)((int64_t)c->n * k / COLUMNS);
            draw_column(&pen, c, from, (int)((int64_t)c->n * (k + 1) / COLUMNS));
        }
    }
    file_printf(p->w, "\"/>\n");
}

void svg_plot(Diag *d, const char *path, const char *title, const char *x_label,
              const char *y_label, bool log_y, const SvgCurve *curves, int n)
{
    double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    if (n > SVG_MAX_CURVES) diag_bug(d, "%d curves in one plot", n);
    for (int c = 0; c < n; c++) {
        for (int i = 0; i < curves[c].n; i++) {
            if (!shown(curves[c].y[i], log_y)) continue;
            x0 = fmin(x0, curves[c].x[i]);
            x1 = fmax(x1, curves[c].x[i]);
            y0 = fmin(y0, curves[c].y[i]);
            y1 = fmax(y1, curves[c].y[i]);
        }
    }
    Plot p = {file_create(d, path), axis_around(x0, x1, false, 0),
              axis_around(y0, y1, log_y, 0.05)};
    file_printf(p.w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                     "width=\"%d\" height=\"%d\">\n", WIDTH, HEIGHT, WIDTH, HEIGHT);
    file_write(p.w, style, sizeof style - 1);
    file_printf(p.w, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
    draw_axes(&p, title, x_label, y_label);
    for (int c = 0; c < n; c++) draw_curve(&p, &curves[c], c);
    draw_legend(&p, curves, n);
    if (!(x0 <= x1)) text(&p, WIDTH / 2.0, HEIGHT / 2.0, "text-anchor=\"middle\"", "no points yet");
    file_printf(p.w, "</svg>\n");
    file_commit(p.w);
}
