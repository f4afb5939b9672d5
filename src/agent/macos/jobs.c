/* jobs.c: see jobs.h. Untested on a Mac. */
#include "agent/macos/jobs.h"

#include "agent/macos/launchctl_parse.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 1024, LABEL_BYTES = 192, LINE_BYTES = 512, FRESH_S = 5 };

static struct {
    int64_t pid;
    char label[LABEL_BYTES];
} jobs[JOBS_MAX]; /* one thread */
static size_t job_count;
static time_t listed_s;

static void list(void)
{
    char line[LINE_BYTES];
    struct span label;
    FILE *in = popen("/bin/launchctl list", "r");
    job_count = 0;
    listed_s = time(NULL);
    while (in && job_count < JOBS_MAX && fgets(line, sizeof line, in))
        if (launchctl_parse(span_of(line, strcspn(line, "\n")), &jobs[job_count].pid, &label) == PARSE_OK &&
            label.len < LABEL_BYTES) {
            memcpy(jobs[job_count].label, label.data, label.len);
            jobs[job_count++].label[label.len] = '\0';
        }
    if (in)
        pclose(in);
}

const char *jobs_of(int pid, struct arena *arena)
{
    char unit[LABEL_BYTES + 32];
    if (listed_s == 0 || time(NULL) - listed_s > FRESH_S)
        list();
    for (size_t i = 0; i < job_count; i++) {
        if (jobs[i].pid != pid)
            continue;
        if (geteuid() == 0)
            snprintf(unit, sizeof unit, "launchd/%s", jobs[i].label);
        else
            snprintf(unit, sizeof unit, "user@%u/%s", (unsigned)geteuid(), jobs[i].label);
        return arena_strdup(arena, unit);
    }
    return NULL;
}
