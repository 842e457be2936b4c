/* Places in the arena: never two tensors alive at one time in one place, and not much more than
 * needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "passes/passes.h"

static uint64_t next(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return *s >> 33;
}

static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

static void check_plan(const Extent *e, int n, size_t arena, size_t bound)
{
    assert_true(bound <= arena);
    for (int i = 0; i < n; i++) {
        assert_int_equal(e[i].offset % 64, 0);
        assert_true(e[i].offset + e[i].bytes <= arena);
        for (int j = 0; j < i; j++) {
            bool meet = e[i].first <= e[j].last && e[j].first <= e[i].last;
            bool over = e[i].offset < e[j].offset + rounded(e[j].bytes) &&
                        e[j].offset < e[i].offset + rounded(e[i].bytes);
            if (meet && over && e[i].bytes && e[j].bytes) fail_msg("%d and %d overlap", i, j);
        }
    }
}

static void random_plans(void **state)
{
    (void)state;
    uint64_t s = 1;
    double used = 0, least = 0;
    for (int round = 0; round < 300; round++) {
        Arena *a = arena_new();
        int n = (int)(next(&s) % 120), steps = 1 + (int)(next(&s) % 60);
        Extent *e = NEW_N(a, Extent, n);
        for (int i = 0; i < n; i++) {
            size_t size = (size_t)1 << next(&s) % 22;
            e[i].bytes = next(&s) % 5 ? next(&s) % size : size;
            e[i].first = (int)(next(&s) % (uint64_t)steps);
            e[i].last = e[i].first + (int)(next(&s) % (uint64_t)(steps - e[i].first));
        }
        size_t arena = memplan(e, n, a), bound = memplan_lower_bound(e, n, a);
        check_plan(e, n, arena, bound);
        used += (double)arena;
        least += (double)bound;
        arena_free(a);
    }
    assert_true(used < 1.2 * least);
}

static void a_chain_needs_two_places(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Extent e[20];
    for (int i = 0; i < 20; i++) e[i] = (Extent){.bytes = 1000, .first = i, .last = i + 1};
    assert_int_equal(memplan(e, 20, a), 2 * 1024);
    assert_int_equal(memplan_lower_bound(e, 20, a), 2 * 1024);
    check_plan(e, 20, 2 * 1024, 2 * 1024);
    arena_free(a);
}

static void nothing(void **state)
{
    (void)state;
    Arena *a = arena_new();
    assert_int_equal(memplan(NULL, 0, a), 0);
    assert_int_equal(memplan_lower_bound(NULL, 0, a), 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_plans),
        cmocka_unit_test(a_chain_needs_two_places),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
