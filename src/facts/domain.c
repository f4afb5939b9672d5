/* domain.c: see domain.h. Pure. */
#include "facts/domain.h"

#include <libpsl.h>

struct span domain_registrable(const struct host *host)
{
    const psl_ctx_t *list = host->is_ip ? NULL : psl_builtin();
    const char *domain = list ? psl_registrable_domain(list, host->name) : NULL;
    return span_str(domain ? domain : host->name);
}
