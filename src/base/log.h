/* log.h: what an operator reads: one line an event on stderr, `LEVEL component: text`, with the journal's priority
 * prefix when stderr is the journal. Unprintable bytes are escaped, a line is at most 1 KiB, and a component that
 * repeats itself is throttled (32 lines a second in all; what was dropped is said). Thread-safe.
 * Not for what happened to flows: that is the audit record's business. */
#ifndef EXEAT_BASE_LOG_H
#define EXEAT_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is borrowed for the life of the process. */
void log_init(const char *program, enum log_level least);
void log_set_level(enum log_level least); /* from any thread */

void log_write(enum log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(component, ...)   log_write(LOG_LEVEL_ERROR, component, __VA_ARGS__)
#define log_warning(component, ...) log_write(LOG_LEVEL_WARNING, component, __VA_ARGS__)
#define log_notice(component, ...)  log_write(LOG_LEVEL_NOTICE, component, __VA_ARGS__)
#define log_info(component, ...)    log_write(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_debug(component, ...)   log_write(LOG_LEVEL_DEBUG, component, __VA_ARGS__)

#endif
