/* around.c: see around.h. */
#include "agent/around.h"

#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>

enum { FIRST_MS = 300, LOOK_EACH_MS = 60000, FRESH_MS = 5000 };

struct around {
    struct platform *platform; /* borrowed until stopped */
    void (*on_changed)(void *context);
    void *context;
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t pause, look;
    bool has_poll;
    unsigned open_handles;
    uint64_t told_ms, looked_ms; /* of the loop's clock */
    struct agent_around now;
};

static bool look(struct around *a)
{
    int before = a->now.lock;
    bool changed = platform_around(a->platform, &a->now);
    a->looked_ms = uv_now(a->loop);
    if (a->now.lock == 0 && before != 0)
        log_warning("around",
                    "no lock: programs of this host can get out without the proxy (see packaging/nftables)");
    else if (a->now.lock == 1 && before != 1)
        log_notice("around", "locked: without the proxy nothing gets out");
    return changed || before != a->now.lock;
}

static void on_time(uv_timer_t *timer)
{
    struct around *a = timer->data;
    if (!look(a))
        return;
    a->told_ms = uv_now(a->loop);
    a->on_changed(a->context);
}

static void on_new(uv_poll_t *poll, int status, int events)
{
    struct around *a = poll->data;
    (void)events;
    if (status != 0) {
        uv_poll_stop(poll);
        return;
    }
    platform_around_take_in(a->platform);
    uint64_t since = uv_now(a->loop) - a->told_ms;
    if (!uv_is_active((uv_handle_t *)&a->pause))
        uv_timer_start(&a->pause, on_time,
                       a->told_ms && since < AROUND_PAUSE_MS ? AROUND_PAUSE_MS - since : FIRST_MS, 0);
}

struct around *around_new(uv_loop_t *loop, struct platform *platform, void (*on_changed)(void *context),
                          void *context)
{
    struct around *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct around){
        .platform = platform, .on_changed = on_changed, .context = context, .loop = loop, .now.lock = -1};
    int fd = platform_around_fd(platform);
    a->has_poll = fd >= 0 && uv_poll_init(loop, &a->poll, fd) == 0;
    must(uv_timer_init(loop, &a->pause) == 0 && uv_timer_init(loop, &a->look) == 0);
    a->poll.data = a->pause.data = a->look.data = a;
    if (a->has_poll)
        uv_poll_start(&a->poll, UV_READABLE, on_new);
    uv_timer_start(&a->look, on_time, LOOK_EACH_MS, LOOK_EACH_MS);
    look(a);
    return a;
}

static void on_closed(uv_handle_t *handle)
{
    struct around *a = handle->data;
    if (--a->open_handles == 0)
        free(a);
}

void around_stop(struct around *take_a)
{
    struct around *a = take_a;
    if (!a)
        return;
    a->open_handles = a->has_poll ? 3 : 2;
    uv_close((uv_handle_t *)&a->pause, on_closed);
    uv_close((uv_handle_t *)&a->look, on_closed);
    if (a->has_poll)
        uv_close((uv_handle_t *)&a->poll, on_closed);
}

const struct agent_around *around_now(struct around *a)
{
    if (uv_now(a->loop) - a->looked_ms >= FRESH_MS)
        look(a);
    return &a->now;
}
