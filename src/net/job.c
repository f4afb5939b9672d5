/* job.c: work for libuv's thread pool, bounded, with an owner that may lose interest. Called by flow/ (password
 * hashes); touches no job's contents but its owner field, which the pool's thread never reads. */
#include "net/internal.h"

#include "base/must.h"

#include <stdlib.h>

struct job_run {
    uv_work_t work;
    struct net *net;             /* borrowed: waits for us */
    struct net_job *job;         /* owned */
    struct job_run *next, *prev; /* net's list */
};

static void on_work(uv_work_t *work)
{
    struct job_run *run = work->data;
    run->job->work(run->job);
}

static void on_worked(uv_work_t *work, int status)
{
    struct job_run *run = work->data;
    struct net_job *job = run->job;
    *(run->prev ? &run->prev->next : &run->net->jobs) = run->next;
    if (run->next)
        run->next->prev = run->prev;
    run->net->jobs_count--;
    free(run);
    if (job->owner && status == 0)
        job->done(job);
    job->destroy(job);
}

bool net_job_start(struct net *net, struct net_job *take_job)
{
    struct job_run *run = net->jobs_count < JOBS_MAX ? calloc(1, sizeof(*run)) : NULL;
    if (!run) {
        take_job->destroy(take_job);
        return false;
    }
    run->work.data = run;
    run->net = net;
    run->job = take_job;
    run->next = net->jobs;
    if (run->next)
        run->next->prev = run;
    net->jobs = run;
    net->jobs_count++;
    must(uv_queue_work(&net->loop, &run->work, on_work, on_worked) == 0);
    return true;
}

void net_job_cancel(struct net_job *job)
{
    job->owner = NULL;
}

void jobs_stop(struct net *net)
{
    for (struct job_run *run = net->jobs; run; run = run->next) {
        net_job_cancel(run->job);
        uv_cancel((uv_req_t *)&run->work); /* fails when it runs already: net_free() waits then */
    }
}
