/* log.c: see log.h. Touches stderr and the clock. */
#include "base/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINES_PER_SECOND = 32, LINE_BYTES = 1024 };

static const struct {
    const char *name, *journal_prefix;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>"},   [LOG_LEVEL_WARNING] = {"warning", "<4>"},
    [LOG_LEVEL_NOTICE] = {"notice", "<5>"}, [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

static struct {
    pthread_mutex_t lock;
    const char *program; /* borrowed for the life of the process */
    atomic_int least;    /* enum log_level */
    bool journal;
    time_t second;
    unsigned lines, dropped;
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .program = "exeat", .least = LOG_LEVEL_NOTICE};

void log_init(const char *program, enum log_level least)
{
    self.program = program;
    self.journal = getenv("JOURNAL_STREAM") != NULL;
    log_set_level(least);
}

void log_set_level(enum log_level least)
{
    atomic_store_explicit(&self.least, (int)least, memory_order_relaxed);
}

/* Errors are never dropped: they are few, and the one line that explains a stop must not be lost. */
static bool may_write(enum log_level level, unsigned *ret_dropped)
{
    time_t now = time(NULL);
    *ret_dropped = 0;
    if (now != self.second) {
        *ret_dropped = self.dropped;
        self.second = now;
        self.lines = self.dropped = 0;
    }
    if (level != LOG_LEVEL_ERROR && self.lines >= LINES_PER_SECOND) {
        self.dropped++;
        return false;
    }
    self.lines++;
    return true;
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&self.least, memory_order_relaxed))
        return;
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    pthread_mutex_lock(&self.lock);
    unsigned dropped;
    if (may_write(level, &dropped)) {
        const char *prefix = self.journal ? levels[level].journal_prefix : "";
        if (dropped)
            fprintf(stderr, "%s%s: %u log lines were dropped in the last busy second\n", prefix, self.program,
                    dropped);
        fprintf(stderr, "%s%s: %s: %s: %s\n", prefix, self.program, levels[level].name, component, text);
    }
    pthread_mutex_unlock(&self.lock);
}
