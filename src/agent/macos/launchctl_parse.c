/* launchctl_parse.c: see launchctl_parse.h. Pure. */
#include "agent/macos/launchctl_parse.h"

enum { PID_DIGITS_MAX = 9 };

enum parse launchctl_parse(struct span line, int64_t *ret_pid, struct span *ret_label)
{
    int64_t pid = 0;
    const uint8_t *tab = line.len ? memchr(line.data, '\t', line.len) : NULL;
    struct span number = span_of(line.data, tab ? (size_t)(tab - line.data) : 0);
    struct span rest = span_from(line, number.len + 1);
    tab = rest.len ? memchr(rest.data, '\t', rest.len) : NULL;
    struct span label = tab ? span_from(rest, (size_t)(tab - rest.data) + 1) : span_of(NULL, 0);
    if (number.len == 0 || number.len > PID_DIGITS_MAX || label.len == 0 ||
        memchr(label.data, '/', label.len))
        return PARSE_BAD;
    if (span_is(number, "-"))
        return PARSE_MORE;
    for (size_t i = 0; i < number.len; i++) {
        if (number.data[i] < '0' || number.data[i] > '9')
            return PARSE_BAD;
        pid = pid * 10 + (number.data[i] - '0');
    }
    *ret_pid = pid;
    *ret_label = label;
    return PARSE_OK;
}
