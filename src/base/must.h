/* must.h: two kinds of assertion, neither depending on NDEBUG.
 *
 * must()   a broken memory invariant: going on would corrupt; print where and abort.
 * expect() a broken expectation about one flow: false is returned, the caller ends that flow only, and a
 *          counter says that it happened.
 * Everyone calls in; touches stderr on failure only. */
#ifndef EXEAT_BASE_MUST_H
#define EXEAT_BASE_MUST_H

#include <stdbool.h>

_Noreturn void must_fail(const char *expression, const char *file, int line);
bool expect_fail(const char *expression, const char *file, int line);

#define must(e)   ((e) ? (void)0 : must_fail(#e, __FILE__, __LINE__))
#define expect(e) ((e) ? true : expect_fail(#e, __FILE__, __LINE__))

/* How many expectations failed in this process so far. */
unsigned long expect_failures(void);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
