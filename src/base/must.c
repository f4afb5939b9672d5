/* must.c: where broken invariants end. See must.h. Touches stderr only. */
#include "base/must.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_ulong failures;

_Noreturn void must_fail(const char *expression, const char *file, int line)
{
    fprintf(stderr, "exeat: broken invariant at %s:%d: %s\n", file, line, expression);
    abort();
}

bool expect_fail(const char *expression, const char *file, int line)
{
    atomic_fetch_add(&failures, 1);
    fprintf(stderr, "exeat: unexpected at %s:%d: %s (this flow ends, others go on)\n", file, line,
            expression);
    return false;
}

unsigned long expect_failures(void)
{
    return atomic_load(&failures);
}
