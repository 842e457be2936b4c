/* static.c: values known at compile time as the command line and other folders see them. */
#include "frontend/build.h"
#include "frontend/parse.h"
#include <stdio.h>
#include <stdlib.h>

bool static_number(const StaticValue *v, double *x)
{
    if (v->kind == SV_INT) *x = (double)v->i;
    if (v->kind == SV_FLOAT) *x = v->f;
    return v->kind == SV_INT || v->kind == SV_FLOAT;
}

/* The shortest text that reads back as the same float, and as a float. */
static void print_float(double f, Str *out)
{
    char s[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, f);
        if (strtod(s, NULL) == f) break;
    }
    str_printf(out, "%s%s", s, strpbrk(s, ".en") ? "" : ".0");
}

void static_print(const StaticValue *v, Str *out)
{
    switch (v->kind) {
    case SV_NONE:
        str_add(out, "none");
        break;
    case SV_INT:
        str_printf(out, "%lld", (long long)v->i);
        break;
    case SV_FLOAT:
        print_float(v->f, out);
        break;
    case SV_BOOL:
        str_add(out, v->i ? "true" : "false");
        break;
    case SV_STRING:
        str_printf(out, "\"%s\"", v->s);
        break;
    case SV_LIST:
    case SV_CALL:
        str_add(out, v->kind == SV_LIST ? "[" : v->s);
        if (v->kind == SV_CALL) str_add(out, "(");
        for (int i = 0; i < v->n; i++) {
            if (i) str_add(out, ", ");
            if (v->kind == SV_CALL && v->key[i]) str_printf(out, "%s = ", v->key[i]);
            static_print(&v->v[i], out);
        }
        str_add(out, v->kind == SV_LIST ? "]" : ")");
        break;
    }
}

/* ---- from and to the builder's values ---- */

Value value_from_static(Builder *b, const StaticValue *v)
{
    Value r = {.kind = V_LIST};
    switch (v->kind) {
    case SV_INT:
        return value_int(v->i);
    case SV_FLOAT:
        return value_float(v->f);
    case SV_BOOL:
        return value_bool(v->i != 0);
    case SV_STRING:
        return value_string(v->s);
    case SV_LIST:
        r.list.n = v->n, r.list.v = NEW_N(b->a, Value, v->n + 1);
        for (int i = 0; i < v->n; i++) r.list.v[i] = value_from_static(b, &v->v[i]);
        return r;
    case SV_CALL:
        user_error(b->d, v->loc,
                   "an option is a number, a bool, a string or a list\nfound: `%s(...)`", v->s);
    default:
        return (Value){.kind = V_NONE};
    }
}

StaticValue value_to_static(Builder *b, Value v, Loc loc)
{
    StaticValue r = {.loc = loc};
    switch (v.kind) {
    case V_INT:
        r.kind = SV_INT, r.i = v.i;
        break;
    case V_FLOAT:
        r.kind = SV_FLOAT, r.f = v.f;
        break;
    case V_BOOL:
        r.kind = SV_BOOL, r.i = v.b;
        break;
    case V_STRING:
        r.kind = SV_STRING, r.s = v.s;
        break;
    case V_LIST:
        r.kind = SV_LIST, r.n = v.list.n, r.v = NEW_N(b->a, StaticValue, v.list.n + 1);
        for (int i = 0; i < r.n; i++) r.v[i] = value_to_static(b, v.list.v[i], loc);
        break;
    default:
        break; /* a free size of a module built alone */
    }
    return r;
}

/* ---- from text ---- */

static StaticValue of_expr(Diag *d, Arena *a, const Expr *e);

static StaticValue of_args(Diag *d, Arena *a, const Expr *e)
{
    const ArgVec *args = &e->call.args;
    StaticValue r = {.kind = SV_CALL, .loc = e->loc, .s = e->call.callee->s, .n = args->n};
    r.v = NEW_N(a, StaticValue, r.n + 1), r.key = NEW_N(a, const char *, r.n + 1);
    for (int i = 0; i < r.n; i++) {
        if (args->v[i].is_pass) user_error(d, args->v[i].loc, "`..` has no meaning here");
        r.v[i] = of_expr(d, a, args->v[i].value);
        r.key[i] = args->v[i].name.s;
    }
    return r;
}

static StaticValue of_expr(Diag *d, Arena *a, const Expr *e)
{
    StaticValue r = {.loc = e->loc};
    switch (e->kind) {
    case EX_INT:
        r.kind = SV_INT, r.i = e->i;
        return r;
    case EX_FLOAT:
        r.kind = SV_FLOAT, r.f = e->f;
        return r;
    case EX_BOOL:
        r.kind = SV_BOOL, r.i = e->b;
        return r;
    case EX_NAME:
        if (!strcmp(e->s, "none")) return r;
        r.kind = SV_STRING, r.s = e->s;
        return r;
    case EX_STRING:
        r.kind = SV_STRING, r.s = e->s;
        return r;
    case EX_LIST:
        r.kind = SV_LIST, r.n = e->list.n, r.v = NEW_N(a, StaticValue, r.n + 1);
        for (int i = 0; i < r.n; i++) r.v[i] = of_expr(d, a, e->list.v[i]);
        return r;
    case EX_UNARY:
        if (e->unary.op != UN_NEG) break;
        r = of_expr(d, a, e->unary.x);
        r.loc = e->loc, r.i = r.kind == SV_INT ? -r.i : r.i, r.f = -r.f;
        if (r.kind == SV_INT || r.kind == SV_FLOAT) return r;
        break;
    case EX_CALL:
        if (e->call.callee->kind == EX_NAME) return of_args(d, a, e);
        break;
    default:
        break;
    }
    user_error(
        d, e->loc,
        "a value is a number, true, false, a word, a list `[1, 2]` or a call `adamw(lr = 1e-3)`");
}

StaticValue static_parse(Diag *d, Arena *a, const char *name, const char *text)
{
    uint32_t source = diag_source(d, arena_printf(a, "--set %s", name), text, strlen(text));
    return of_expr(d, a, rt_parse_value(d, a, source));
}
