/* log_parse.h: one line of `log stream --style ndjson` (macOS' unified log): which process used a key pair. The Security framework names the
 * function that a program called as an activity in that program's own name, so that public-key use is visible; CommonCrypto leaves no
 * such trace, and nothing is concluded from its absence. The stream's first line is a sentence, not JSON. Pure. */
#ifndef EXEAT_AGENT_MACOS_LOG_PARSE_H
#define EXEAT_AGENT_MACOS_LOG_PARSE_H

#include "base/json_read.h"

enum { LOG_VALUES_MAX = 512, LOG_PATH_BYTES = 1024 };

/* TRUST: a chain was judged, which TLS clients do; the others are uses of a key. */
enum log_use { LOG_SIGN, LOG_VERIFY, LOG_ENCRYPT, LOG_DECRYPT, LOG_EXCHANGE, LOG_GENERATE, LOG_TRUST };

struct log_event {
    enum log_use use;
    const char *function; /* a literal */
    int64_t pid;
    char executable[LOG_PATH_BYTES]; /* "" when not told */
};

/* PARSE_BAD: no JSON object. PARSE_MORE: a line about something else. */
enum parse log_parse(struct span line, struct log_event *ret);

#endif
