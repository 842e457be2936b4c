/* rtc.h: rtc as a library: compile a .rt model, run it, train it.
 *
 *     #include <stdio.h>
 *     #include <rtc.h>
 *
 *     int main(void)
 *     {
 *         int32_t x[2 * 64], targets[2 * 64];
 *         int64_t shape[] = {2, 64};
 *         const char *set[] = {"dim=64", "depth=1", "max_seq_len=64", "window_size=32", NULL};
 *         for (int i = 0; i < 2 * 64; i++) {
 *             x[i] = i % 7;
 *             targets[i] = (i + 1) % 7;
 *         }
 *         Rtc *m = rtc_open(&(RtcOptions){.file = "routing_lm.rt", .set = set, .seed = 1});
 *         rtc_input(m, "x", RTC_INT, 2, shape, x);
 *         rtc_input(m, "targets", RTC_INT, 2, shape, targets);
 *         for (int i = 0; i < 20 && rtc_step(m) == 0; i++)
 *             if (i % 5 == 0) printf("step %d: loss %.4f\n", i, rtc_scalar(m, "loss"));
 *         RtcTensor logits;
 *         if (rtc_run(m) == 0 && rtc_output(m, "logits", &logits) == 0)
 *             printf("logits [%lld, %lld, %lld]\n", (long long)logits.shape[0],
 *                    (long long)logits.shape[1], (long long)logits.shape[2]);
 *         rtc_save(m, "trained.safetensors");
 *         if (rtc_status(m)) fputs(rtc_error(m), stderr);
 *         int status = rtc_status(m);
 *         rtc_close(m);
 *         return status;
 *     }
 *
 * Nothing here exits, prints or keeps a global. A function returns 0, or the status that the
 * `rtc` command would end with (1: the input is wrong, 70: a fault of rtc); rtc_error() then has
 * the whole message. After an error the other calls return that status without doing anything,
 * until rtc_clear(): so a program may look at the end only. An Rtc is used by one thread at a
 * time; different ones are independent.
 */
#ifndef RTC_H
#define RTC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RTC_MAX_RANK 32

typedef struct Rtc Rtc;
typedef enum { RTC_FLOAT, RTC_INT, RTC_BOOL } RtcType;   /* float, int32_t, uint8_t */

typedef struct {
    const char *file;            /* FILE.rt */
    const char *const *set;      /* "depth=2", "optimizer.lr=1e-3", ..., NULL; may be NULL */
    const char *library;         /* where imports are also looked up; NULL: only beside the file */
    const char *device;          /* "cpu" or "eval"; NULL: cpu */
    int threads;                 /* 0: as many as this process may use */
    uint64_t seed;               /* of initial parameters and all random draws */
    int64_t steps;               /* the training run's length, where its schedule ends; 0: 1000 */
} RtcOptions;

typedef struct {
    RtcType type;
    int rank;
    int64_t shape[RTC_MAX_RANK];
    int64_t count;
    void *data;                  /* row-major */
} RtcTensor;

const char *rtc_version(void);

/* Never NULL unless memory is short; whether it worked is rtc_status(). */
Rtc *rtc_open(const RtcOptions *o);
void rtc_close(Rtc *m);                      /* m may be NULL */

int rtc_status(const Rtc *m);
const char *rtc_error(const Rtc *m);         /* ends with a line end; "" without an error */
void rtc_clear(Rtc *m);

/* Sets an input for the coming runs; the data are copied. shape NULL: the input isn't given any
 * more. */
int rtc_input(Rtc *m, const char *name, RtcType type, int rank, const int64_t *shape,
              const void *data);
/* One execution of the evaluation program. The first compiles, and so does the first with other
 * inputs given. */
int rtc_run(Rtc *m);
/* One training step by the model's `train` block. A loss or gradient that isn't finite changes
 * nothing. */
int rtc_step(Rtc *m);

/* A value of the last run or step, valid until the next; an error if there is no such output. */
int rtc_output(Rtc *m, const char *name, RtcTensor *out);
/* The single number of an output; NaN if there is none. */
double rtc_scalar(Rtc *m, const char *name);
/* A parameter or state by its checkpoint name: its place, which may be written; valid until
 * rtc_close. */
int rtc_param(Rtc *m, const char *name, RtcTensor *out);
/* The name of parameter number i, then of the states; NULL after the last. */
const char *rtc_param_name(const Rtc *m, int i);

/* Parameters, states and optimiser as a safetensors file, written whole or not at all; a file of
 * `rtc train`, or one with parameters only, can be loaded too. */
int rtc_save(Rtc *m, const char *path);
int rtc_load(Rtc *m, const char *path);

#ifdef __cplusplus
}
#endif
#endif
