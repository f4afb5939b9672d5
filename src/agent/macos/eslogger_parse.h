/* eslogger_parse.h: one line of `eslogger fork exec exit open create close rename mmap` (macOS 13 and later): a message of Endpoint Security as JSON.
 * Both generations: up to macOS 15 an audit token is an object, in macOS 26 a list of eight numbers (audit_token_t's val: user, effective
 * user and group, real user and group, pid, session, version of the pid). Pure; what is no such line is PARSE_BAD and nothing else. */
#ifndef EXEAT_AGENT_MACOS_ESLOGGER_PARSE_H
#define EXEAT_AGENT_MACOS_ESLOGGER_PARSE_H

#include "base/json_read.h"

/* X(NAME, "member of `event`") */
#define ESLOGGER_EVENTS(X)                                                                                   \
    X(FORK, "fork")                                                                                          \
    X(EXEC, "exec")                                                                                          \
    X(EXIT, "exit")                                                                                          \
    X(OPEN, "open")                                                                                          \
    X(CREATE, "create")                                                                                      \
    X(CLOSE, "close")                                                                                        \
    X(RENAME, "rename")                                                                                      \
    X(MMAP, "mmap")

enum eslogger_event_kind {
#define X(name, member) ESLOGGER_##name,
    ESLOGGER_EVENTS(X)
#undef X
        ESLOGGER_EVENT_COUNT
};

enum {
    ESLOGGER_VALUES_MAX = 8192,
    ESLOGGER_PATH_BYTES = 1024,
    ESLOGGER_NAME_BYTES = 256,
    ESLOGGER_ARGUMENTS_BYTES = 512
};

/* Numbers -1, texts "" where not told. */
struct eslogger_process {
    int64_t pid, pid_version, euid, parent, session;
    int64_t start_s; /* Unix time */
    char executable[ESLOGGER_PATH_BYTES], signing_id[ESLOGGER_NAME_BYTES], team_id[ESLOGGER_NAME_BYTES];
    bool is_platform_binary;
};

struct eslogger_event {
    enum eslogger_event_kind kind;
    struct eslogger_process process; /* who did it; of EXEC: what it is from now on; of FORK: the new one */
    char path
        [ESLOGGER_PATH_BYTES]; /* the file; of RENAME and CREATE where it is now; of the first three the program */
    bool modified;             /* of CLOSE: it was written */
    char arguments[ESLOGGER_ARGUMENTS_BYTES]; /* of EXEC: each ends with a NUL; those that fit */
    size_t arguments_len;
};

/* Large; keep one for a stream. Zeroed: a new stream. */
struct eslogger_reader {
    int64_t next_seq; /* what the next message's global_seq_num should be; 0: none came yet */
    uint64_t lost;    /* messages that never came: gaps in global_seq_num */
    struct json_value values[ESLOGGER_VALUES_MAX];
};

/* PARSE_BAD leaves *ret untouched (what it lost is counted all the same, where the line says its number). */
enum parse eslogger_parse(struct eslogger_reader *r, struct span line, struct eslogger_event *ret);

#endif
