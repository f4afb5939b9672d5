/* job.h: the job behind a process: the unit's file and what triggers it, the crontab's line or the file in /etc/cron.daily, the
 * desktop entry that the session started. Found by where these files are kept, told with hash, owner, last change and since
 * when this host knows it. describe.c calls in; reads files of root and of users, with bounds. */
#ifndef EXEAT_AGENT_LINUX_JOB_H
#define EXEAT_AGENT_LINUX_JOB_H

#include "agent/jobs.h"
#include "agent/seen.h"
#include "wire/sender.h"

enum { JOB_PATH_BYTES = 1024, JOBS_KNOWN = 32, JOB_FILE_BYTES = 64 * 1024, JOB_FOR_MS = 10000 };

/* A job that was found, or that there is none; for as long as it is fresh. */
struct job_found {
    enum sender_job_kind kind;
    char name[256], file[JOB_PATH_BYTES], sha256[65], owner[64], trigger[JOB_TEXT_BYTES],
        trigger_file[JOB_PATH_BYTES];
    int64_t owner_uid, changed_ms;
};

struct job_finder {
    int procfd;        /* borrowed until it is freed */
    const char *root;  /* borrowed likewise: "" or a test's folder, before every path */
    struct seen *seen; /* borrowed likewise; NULL: nobody remembers */
    char *text;        /* owned: JOB_FILE_BYTES */
    struct job_known {
        char unit[256]; /* of the system's manager; "": free */
        int64_t found_ms;
        struct job_found found;
    } * known; /* owned: JOBS_KNOWN */
    unsigned turn;
};

int job_finder_init(struct job_finder *f, int procfd, const char *root,
                    struct seen *seen); /* 0, or -1: no memory */
void job_finder_free(struct job_finder *f);

/* The job behind the sender, into its `who`. Its executable, script, user, parents and unit are known; `argv` is its own. */
void job_find(struct job_finder *f, struct sender *s, const char *const *argv, size_t argc, int64_t now_ms,
              int64_t wall_ms);

#endif
