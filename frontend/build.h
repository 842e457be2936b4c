/* build.h: private to the builder (build_*.c): from syntax trees to a Graph.
 *
 * The builder runs the program once, symbolically: options, loops and calls are executed, tensors
 * are edges of the graph. What a name stands for is a Value, known at one of three stages: static
 * V_INT V_FLOAT V_BOOL V_STRING V_LIST: known now host     V_SIZE, and V_ELEM without axes whose
 * node reads no tensor: known before a step is launched tensor   V_ELEM: one element for every
 * position of its axes, in an index statement V_TENSOR: a whole tensor An index is an Axis, an
 * object of its own: two indices of one name never meet, and an element remembers over which axes
 * it varies.
 *
 * Where to start: build_program.c (a model, its inputs and outputs), build_stmt.c, build_expr.c.
 */
#ifndef RTC_FRONTEND_BUILD_H
#define RTC_FRONTEND_BUILD_H

#include "frontend/ast.h"
#include "frontend/frontend.h"

enum {
    MAX_UNROLL = 65536, /* turns of all loops together */
    MAX_CALLS = 256,    /* depth of calls */
    MAX_NODES = 100000,
    MAX_STACK = 4 << 20, /* bytes of C stack */
    MAX_STEPS = 2000000 /* expressions evaluated while building */
};

typedef struct Builder Builder;
typedef struct Frame Frame;
typedef struct Inst Inst;
typedef struct Opt Opt;
typedef VEC(Opt *) OptVec;
typedef struct Var Var;

/* ---- values (build_value.c) ---- */

typedef struct {
    uint32_t id;      /* in order of binding */
    const char *name; /* ".." for one of many leading axes */
    const Ix *ext;
    bool written;     /* `i: n`: uses need only fit */
    Loc loc;          /* what gave the extent */
    const char *from; /* its text */
} Axis;

typedef struct {
    int n;
    Axis *v[MAX_AXES];
} AxisSet;

typedef enum {
    V_NONE,
    V_INT,
    V_FLOAT,
    V_BOOL,
    V_STRING,
    V_LIST,
    V_SIZE,
    V_ELEM,
    V_TENSOR,
    V_TUPLE
} ValueKind;
typedef struct Value Value;
struct Value {
    ValueKind kind;
    union {
        struct {
            const char *absent, *option;
            Loc loc;
        } none; /* the absent input, or option without a value, it comes from */
        int64_t i;
        double f;
        bool b;
        const char *s;
        struct {
            int n;
            Value *v;
        } list; /* LIST, TUPLE */
        struct {
            const Ix *num;
            int64_t den;
        } size; /* den 0: an int; else the float num/den */
        struct {
            Edge e;
            int n;
            Axis *const *axis;
        } elem; /* e is over the axes in this order */
        struct {
            Edge e;
            const Space *shape;
            const char *const *dim;
        } tensor; /* dim: names of its axes */
    };
};

typedef VEC(Value) ValueVec;

Value value_int(int64_t i);
Value value_float(double f);
Value value_bool(bool b);
Value value_string(const char *s);
Value value_size(const Ix *num); /* V_INT if constant */
Value value_ratio(const Ix *num, int64_t den);
Value value_elem(Builder *b, Edge e, const AxisSet *axes); /* drops the axes that e doesn't use */
Value value_tensor(Builder *b, Edge e, const Space *shape,
                   const char *const *dim); /* rank 0: an element */
bool value_is_static(Value v);
bool value_is_scalar(Value v); /* static number or bool, size, element without axes */
bool value_is_graph(Value v);  /* ELEM or TENSOR */
DType value_dtype(Builder *b, Value v, Loc loc);    /* of anything but strings, lists: an error */
bool value_known(Builder *b, Value v, bool *truth); /* a bool, static or constant */
const char *value_what(Builder *b, Value v);        /* "an int", "a tensor [b, t]" */
const char *shape_text(Builder *b, const Space *shape, const char *const *dim);
const char *indexed_text(Builder *b, const char *name, Value tensor); /* "y[b, t]" */
const char *axes_text(Builder *b, int n, Axis *const *axis);
Edge value_edge(Builder *b, Value v, DType like,
                Loc loc); /* of a scalar: over no axes; of graph values: its edge */

void axes_add(Builder *b, AxisSet *s, Axis *a);
void axes_of(Builder *b, AxisSet *s, Value v);
int axes_find(const AxisSet *s, const Axis *a); /* position, or -1 */
void axes_sort(AxisSet *s);                     /* in order of binding */
const Space *axes_space(Builder *b, const AxisSet *s);
Edge value_onto(Builder *b, Value v, const AxisSet *s, const Space *space, DType like, Loc loc);
const Ix *size_of(Builder *b, Value v, Loc loc,
                  const char *what); /* INT or int SIZE; else an error */
const Ix *extent_of(Builder *b, Value v, Loc loc, const char *what); /* the same, 0 .. 2^31 - 1 */

/* ---- arithmetic on values (build_arith.c, build_size.c) ---- */

Value value_op(Builder *b, Op op, int n, const Value *x,
               Loc loc); /* pointwise, elements or whole tensors */
Value value_unary(Builder *b, UnaryOp op, Value a, Loc loc);
Value value_binary(Builder *b, BinaryOp op, Value a, Value c, Loc loc);
Value value_where(Builder *b, Value c, Value x, Value y, Loc loc);
Value value_minmax(Builder *b, bool max, Value x, Value y, Loc loc);
Value value_branch(Builder *b, Edge cond, Value x, Value y, Loc loc); /* host choice */
Value value_int_of(Builder *b, Value v, Loc loc);                     /* int(x) */
bool value_index(Builder *b, Value v, const AxisSet *s, const Space *sp,
                 const Ix **ix); /* a position as it is */
bool size_binary(Builder *b, BinaryOp op, Value a, Value c, Loc loc,
                 Value *r); /* false: not a matter of sizes */
bool size_less(Builder *b, const Ix *a, const Ix *c, bool *truth); /* a < c decided? */
void assume_zero(Graph *g, const Ix *e);                           /* checked elsewhere: e is 0 */
bool host_known(Builder *b, Edge e);                               /* reads no tensor */
Value fit_shapes(Builder *b, Value like, Value v, Loc loc,
                 const char *what); /* the error, or checks; v again */

/* ---- names (build_scope.c) ---- */

typedef enum { VAR_LET, VAR_ARG, VAR_LOOP, VAR_OPTION, VAR_PARAM, VAR_STATE } VarKind;
struct Var {
    const char *name;
    VarKind kind;
    Value value; /* PARAM: once it was read; STATE: what reads see now */
    Loc loc;
    Opt *opt;                                         /* OPTION */
    const char *path;                                 /* PARAM, STATE: the checkpoint name */
    const Stmt *decl;                                 /* PARAM, STATE */
    Inst *owner;                                      /* PARAM, STATE */
    const Space *shape;                               /* PARAM, STATE */
    Node *node;                                       /* STATE: its leaf */
    Loc read;                                         /* STATE: first read; file 0: not yet */
    enum { INIT_NONE, INIT_SOME, INIT_ALWAYS } begun; /* STATE: was its `init` built */
    Edge begun_if;                                    /* INIT_SOME: under this host condition */
    bool initialising;                                /* STATE: its `init` is being built */
    int born;                                         /* open host `if`s when it was declared */
};
typedef struct Scope Scope;
struct Scope {
    Scope *up;
    VEC(Var *) vars;
    VEC(uint64_t) hashes; /* of their names */
};

struct Opt {
    const char *name, *doc, *type;
    const char *prefix; /* "" or "enc_" where it came by `enc_..: m` */
    const Option *decl;
    bool listed;  /* declared here, not by `..` */
    bool fixed;   /* came by `..`, and the module itself says what it is */
    bool set;     /* by --set or by the call */
    bool by_user; /* by --set */
    bool read;
    bool idle; /* read by an instance of which nothing runs */
    Value value, def;
    bool has_def;
    Loc loc;
    OptVec deps; /* options its value was computed from: read when it is */
};

struct Inst {         /* a module with options */
    const char *path; /* "" or "net.layers.3.attn." */
    const Item *module;
    Scope *scope;
    OptVec opts;
    const Stmt *from; /* the `use` statement */
    Loc loc;
    VEC(const Fn *) fns;
    OptVec reads; /* options that its body reads, which count when it runs: */
    bool runs;    /* a function of it was called, or a parameter read */
};

Scope *scope_new(Builder *b, Scope *up);
Var *scope_find(Scope *s, const char *name);
void scope_put(Builder *b, Scope *s, Var *v); /* unchecked */
Var *scope_add(Builder *b, Scope *s, VarKind kind, Name name,
               Value v); /* an error if it is visible already */
RTC_NORETURN void unknown_name(Frame *f, Name name, const char *what);
const char *suggest(Builder *b, const char *word, const char *const *names,
                    int n); /* "\nhint: ..." or "" */
/* The same; where nothing is near, the names themselves. */
const char *suggest_or_list(Builder *b, const char *what, const char *word,
                            const char *const *names, int n);

/* ---- frames ---- */

typedef struct { /* an index that is bound, or about to be */
    const char *name;
    Axis *axis; /* NULL until its extent is known */
    bool dots;
    int nmany;   /* dots: */
    Axis **many; /* NULL until known */
    bool written;
    Loc loc;
} IndexVar;

typedef struct { /* an axis name of the function's parameters */
    const char *name;
    const Ix *ext; /* NULL: of an absent input */
    Value none;
    Loc loc;
    const char *from;
} NamedAxis;

typedef struct {
    AxisSet axes;
    const Ix *ge0;
} Known; /* holds inside an `else` value; ge0 over axes */
typedef struct {
    const Expr *e;
    Value v;
} Cached;

typedef struct {
    Edge cond;
} HostIf; /* rank 0, negated where the other side is built */
typedef struct {
    Var *var;
    Value old;
} Change;
typedef VEC(Change) ChangeVec;

struct Frame {
    Builder *b;
    Frame *up;
    Inst *self; /* whose names and methods are visible; NULL: none */
    const Fn *fn;
    Scope *scope;
    VEC(NamedAxis) axes;
    bool has_dots, dots_none;
    int ndots;
    NamedAxis *dots;
    VEC(IndexVar) index;
    int visible;  /* index[visible..] can be named */
    bool element; /* operands are elements */
    VEC(Known) known;
    VEC(Cached) cache;
    AxisSet around; /* axes of draws besides the indices */
    uint64_t site;  /* of the chain of calls and loop values */
    bool in_module; /* statements of a module's body */
    bool in_start;  /* the start of a parameter, in the init graph */
    bool returned;
    Value result;
    ExprVec returns; /* of the return statement taken */
    int step_region; /* > 0: statements are steps of this reversible region */
    int step_ifs;    /* open host `if`s when it began */
    ChangeVec *step_journal;
    int ifs_at_entry; /* open host `if`s of the callers */
    Scope *outermost; /* names from here on up belong to the module or the file */
};

typedef struct {
    Var *var;
    Value v;
    Edge cond;
    bool always;
    Loc loc;
} Proposal;
typedef struct {
    ReportInfo is;
    Edge e;
    const Space *shape;
} Reported;
typedef struct {
    uint64_t hash;
    const char *key;
    void *value;
} StrSlot;
typedef struct {
    StrSlot *slot;
    int n, cap;
} StrMap;
typedef struct {
    const void *key;
    uint64_t value;
} PtrSlot;
typedef struct {
    PtrSlot *slot;
    int n, cap;
} PtrMap; /* values are not 0 */

struct Builder {
    Diag *d;
    Arena *a;
    Graph *g; /* being built now: main or init */
    Graph *main, *init;
    const LoadOptions *o;
    Program *program;
    VEC(AstFile *)
    files; /* in order of import: what is imported comes first, the program's own file last */
    VEC(const char *) texts, paths; /* of the files */
    StrMap loaded;                  /* by real path */
    StrMap items;                   /* module, model and function by name */
    StrMap insts;                   /* by path */
    VEC(const char *) insts_list; /* their paths */
    PtrMap ordinals;   /* of call expressions in their function */
    const char *stack; /* where building began */
    Scope *global;
    Value aux;
    bool aux_any;
    VEC(HostIf) ifs;
    ChangeVec *journal; /* rebindings of the innermost host `if` */
    VEC(Proposal) updates;
    VEC(Reported) reports;
    bool reporting;    /* the value of a `report` is being built */
    VEC(Var *) params; /* read so far */
    VEC(Var *) states;
    VEC(Var *) declared; /* parameters and states */
    OptVec *capture;      /* option reads go here instead of being marked */
    int touched_training; /* counts reads of `training` */
    bool lone;            /* no model: a module or function is built for itself */
    bool quiet_reads;
    uint32_t next_axis;
    int calls, unrolled;
    int64_t steps;
    VEC(uint8_t) host; /* by node id, memo of host_known: 1 yes, 2 no */
};

void *strmap_get(const StrMap *m, const char *key);
void strmap_put(Builder *b, StrMap *m, const char *key, void *value);
uint64_t ptrmap_get(const PtrMap *m, const void *key); /* 0: not there */
void ptrmap_put(Builder *b, PtrMap *m, const void *key, uint64_t value);

/* ---- walks over trees (build_walk.c): fn sees every expression below, outside first ---- */

typedef void (*ExprFn)(void *ctx, const Expr *e);
void walk_expr(const Expr *e, ExprFn fn, void *ctx);
void walk_stmt(const Stmt *s, ExprFn fn, void *ctx);
void walk_block(const Block *block, ExprFn fn, void *ctx);
void walk_fn(const Fn *fn, ExprFn f, void *ctx); /* defaults and body */
void walk_reports(const Block *block, ExprFn fn, void *ctx); /* only those in `report`s */

/* ---- expressions (build_expr.c) ---- */

Value eval(Frame *f, const Expr *e);
Value eval_whole(Frame *f, const Expr *e);  /* indices hidden: a whole tensor, or one value */
Value eval_cached(Frame *f, const Expr *e); /* the same, once per statement */
Value eval_static(Frame *f, const Expr *e,
                  const char *what);             /* static, or an error naming `what` */
/* The error that names the absent input, or the option without a value. */
RTC_NORETURN void none_error(Builder *b, Value none, Loc loc);
void mark_reads(Frame *f, const Expr *e);        /* options in code that `training` switches off */
void mark_block(Frame *f, const Block *block);
bool cond_known(Frame *f, const Expr *e, bool *truth,
                Edge *cond); /* static: truth; host: cond; else an error */
const char *expr_text(Builder *b, const Expr *e);
bool var_read(Frame *f, Var *v, Loc loc, Value *out);
void opt_read(Builder *b, Opt *o);
/* At the end: what instances read that run, and what only others do. */
void count_reads(Builder *b);

/* ---- indices (build_extent.c, build_access.c, build_assign.c) ---- */

Axis *axis_new(Builder *b, const char *name, const Ix *ext, bool written, Loc loc,
               const char *from);
IndexVar *index_find(Frame *f, const char *name); /* visible ones; ".." too */
NamedAxis *named_axis(Frame *f, const char *name);
int index_push(Frame *f, Name name, bool dots); /* unknown yet; returns its position */
void index_resolve(Frame *f, int from, const Expr *const *in, int n,
                   Value *none); /* extents of index[from..] */
bool index_over_list(Frame *f, const Range *r, const Expr *const *in, int n, int64_t *length);
Value eval_access(Frame *f, const Expr *e);
Value access_base(Frame *f, const Expr *base, const char **text);
void dim_at(const IndexVec *ix, int i, int rank, int *dim,
            int *many); /* which dims index i stands for */
Value assign_indexed(Frame *f, const Lhs *lhs, const Expr *e, const Value *old);
const Ix *split_extent(Frame *f, const Ix *total, const Ix *known, Loc loc, const char *axis,
                       const char *parts);
bool prove_inside(Frame *f, const Ix *ix, const AxisSet *axes, const Ix *ext, bool *low,
                  bool *high);
Value axis_value(Frame *f, Axis *a); /* its position, an int element */

/* ---- reductions (build_reduce.c), draws (build_draw.c), calls (build_call.c) ---- */

Value eval_reduce(Frame *f, const Expr *e);
bool call_builtin(Frame *f, const char *name, const Expr *call,
                  Value *r); /* false: no builtin of this name */
uint64_t call_ordinal(Frame *f, const Expr *call);
Value eval_call(Frame *f, const Expr *e);
Value call_fn(Frame *f, Inst *self, const Fn *fn, const ArgVec *args, const Expr *call, Loc loc);
Frame *frame_new(Builder *b, Frame *up, Inst *self, const Fn *fn);
void bind_axes(Frame *nf, const Param *p, Value *v, Loc loc);
Value run_body(Frame *f); /* of f->fn */
Inst *inst_at(Frame *f, const Expr *e,
              const char **path);                   /* the module instance that e names, or NULL */
const Fn *inst_fn(const Inst *m, const char *name); /* NULL: what calling it does */
bool is_builtin(const char *name);

/* ---- statements (build_stmt.c, build_region.c) ---- */

void run_block(Frame *f, const Block *block, bool scoped);
void run_stmt(Frame *f, const Stmt *s);
void rebind(Builder *b, Var *v, Value value);
bool host_cond(Builder *b, Edge *cond); /* all open host `if`s together; false: none is open */
void host_enter(Builder *b, ChangeVec *changes, Edge cond, bool negated);
void host_leave(Builder *b, ChangeVec *changes,
                ChangeVec *outer); /* undoes them; `old` becomes what they were */
void host_merge(Builder *b, Edge cond, const ChangeVec *then, const ChangeVec *otherwise, Loc loc);
void run_annotated(Frame *f, const Stmt *s);
bool run_step(Frame *f, const Stmt *s); /* in a reversible body */
void finish_updates(Builder *b);

/* ---- reports (build_report.c) ---- */

void run_report(Frame *f, const Stmt *s);
void finish_reports(Builder *b); /* after all other roots */

/* ---- modules and programs (build_module.c, build_option.c, build_program.c, import.c) ---- */

typedef struct {
    const char *name;
    Value v;
    Loc loc;
    bool by_user;
    OptVec deps;
    bool used;
} Given;
typedef VEC(Given) GivenVec;
typedef VEC(Setting) SettingVec;
Inst *inst_make(Builder *b, const Item *module, GivenVec *given, const char *path, const Stmt *from,
                Loc loc);
void options_resolve(Builder *b, Inst *m, GivenVec *given);
int options_list(Builder *b, const Item *module, OptVec *out);
const Item *module_named(Builder *b, Name name, const char *what);
bool option_default(Builder *b, Inst *m, int at, Opt *o, Value *v);
void check_depth(Builder *b, Loc loc); /* of calls and of the C stack */
Value typed_value(Builder *b, const Type *t, int64_t length, Value v, Loc loc, const char *what);
Value value_from_static(Builder *b, const StaticValue *v);
StaticValue value_to_static(Builder *b, Value v, Loc loc);
void run_use(Frame *f, const Stmt *s);
void run_declare(Frame *f, const Stmt *s);
Value leaf_read(Frame *f, Var *v); /* the tensor of a param or state */
void build_starts(Builder *b);
const Ix *ix_port(Graph *to, const Graph *from, const Ix *e);
void load_files(Builder *b, const char *path);
const char *inline_text(Builder *b);
void check_names(Builder *b);
void build_program(Builder *b);

#endif
