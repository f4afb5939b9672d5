/* proxy_header_fuzz.c: any bytes; a header that is cut short must never be taken for another. */
#include "wire/proxy_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    enum parse result = proxy_header_parse(span_of(data, size), &whole);
    if (result != PARSE_OK)
        return 0;
    if (whole.bytes > size || whole.bytes > PROXY_HEADER_BYTES_MAX)
        abort();
    for (size_t n = 0; n < whole.bytes; n++)
        if (proxy_header_parse(span_of(data, n), &part) != PARSE_MORE)
            abort();
    return 0;
}
