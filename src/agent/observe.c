/* observe.c: see observe.h. */
#include "agent/observe.h"

#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>

enum { TURN_MS = 1000, WALK_EVERY_TURNS = 60, WALK_PAUSE_MS = 500, WALK_SHARE = 10 };

struct observe {
    void (*each_second)(void *context);
    void *context;             /* borrowed, the caller's */
    struct platform *platform; /* borrowed */
    uv_poll_t poll;
    uv_timer_t timer;
    uv_work_t walk, scan;
    struct history_scan job;              /* of the thread that runs `scan`, meanwhile */
    uint64_t walk_begun_ms, next_walk_ms; /* next: if something is new */
    unsigned turns, open_handles;
    bool walking, scanning, stopping;
};

static void on_walk(uv_work_t *work)
{
    struct observe *o = work->data;
    platform_history_walk(o->platform);
}

static void free_when_over(struct observe *o)
{
    if (o->open_handles == 0 && !o->walking && !o->scanning)
        free(o);
}

static void on_closed(uv_handle_t *handle)
{
    struct observe *o = handle->data;
    o->open_handles--;
    free_when_over(o);
}

static void on_walked(uv_work_t *work, int status)
{
    struct observe *o = work->data;
    (void)status;
    o->walking = false;
    uint64_t now = uv_now(o->timer.loop), took_ms = now - o->walk_begun_ms;
    o->next_walk_ms = now + (took_ms * WALK_SHARE > WALK_PAUSE_MS ? took_ms * WALK_SHARE : WALK_PAUSE_MS);
    free_when_over(o);
}

static void begin_walk(struct observe *o)
{
    if (o->walking || o->stopping)
        return;
    o->walk.data = o;
    o->walk_begun_ms = uv_now(o->timer.loop);
    o->walking = uv_queue_work(o->timer.loop, &o->walk, on_walk, on_walked) == 0;
}

static void on_scan(uv_work_t *work)
{
    struct observe *o = work->data;
    platform_history_scan(o->platform, &o->job);
}

static void begin_scan(struct observe *o);

static void on_scanned(uv_work_t *work, int status)
{
    struct observe *o = work->data;
    (void)status;
    o->scanning = false;
    if (!o->stopping) {
        platform_history_scan_done(o->platform, &o->job);
        begin_scan(o);
    }
    free_when_over(o);
}

static void begin_scan(struct observe *o)
{
    if (o->scanning || o->stopping || !platform_history_scan_next(o->platform, &o->job))
        return;
    o->scan.data = o;
    o->scanning = uv_queue_work(o->timer.loop, &o->scan, on_scan, on_scanned) == 0;
}

static void take_turn(struct observe *o)
{
    platform_history_turn(o->platform);
    begin_scan(o);
    if (uv_now(o->timer.loop) >= o->next_walk_ms && platform_history_wants_walk(o->platform))
        begin_walk(o);
}

static void on_timer(uv_timer_t *timer)
{
    struct observe *o = timer->data;
    take_turn(o);
    o->each_second(o->context);
    if (++o->turns % WALK_EVERY_TURNS == 0)
        begin_walk(o);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct observe *o = poll->data;
    (void)events;
    if (status == 0)
        take_turn(o);
    else
        uv_poll_stop(poll);
}

struct observe *observe_new(uv_loop_t *loop, struct platform *p, void (*each_second)(void *context),
                            void *context)
{
    int fd = platform_history_fd(p);
    struct observe *o = fd >= 0 ? calloc(1, sizeof *o) : NULL;
    if (!o)
        return NULL;
    o->platform = p;
    o->each_second = each_second;
    o->context = context;
    must(uv_poll_init(loop, &o->poll, fd) == 0 && uv_timer_init(loop, &o->timer) == 0);
    o->poll.data = o->timer.data = o;
    o->open_handles = 2;
    uv_poll_start(&o->poll, UV_READABLE, on_readable);
    uv_timer_start(&o->timer, on_timer, TURN_MS, TURN_MS);
    begin_walk(o);
    return o;
}

void observe_stop(struct observe *o)
{
    if (!o)
        return;
    o->stopping = true;
    if (o->walking)
        uv_cancel((uv_req_t *)&o->walk); /* fails while it runs: then the loop waits for it */
    if (o->scanning)
        uv_cancel((uv_req_t *)&o->scan);
    uv_close((uv_handle_t *)&o->poll, on_closed);
    uv_close((uv_handle_t *)&o->timer, on_closed);
}
