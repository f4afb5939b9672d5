/* loop.c: one worker's loop: its life, its clock, messages from other threads, and callbacks that come "soon". Called by
 * run/ on the worker's thread; net_post() by anyone.
 *
 * A turn: timers (deadlines) - registration of what streams want - poll (readiness) - soon - closing. */
#include "net/internal.h"

#include "base/must.h"

#include <ares.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Each ask has a nonce: the kernel is asked for 32 at a time. A value is forgotten when it is given out. */
uint64_t net_random(void)
{
    enum { POOL = 32 };
    static _Thread_local uint64_t pool[POOL];
    static _Thread_local unsigned left;
    if (left == 0) {
        must(getrandom(pool, sizeof(pool), 0) ==
             (ssize_t)sizeof(pool)); /* up to 256 bytes are never cut (getrandom(2)) */
        left = POOL;
    }
    uint64_t r = pool[--left];
    pool[left] = 0;
    return r;
}

uint64_t net_now_ms(const struct net *net)
{
    return uv_now(&net->loop);
}

uint64_t net_wall_ms(const struct net *net)
{
    struct net *self = (struct net *)(uintptr_t)net; /* only its cache changes */
    if (self->wall_at_ms != net_now_ms(net) || self->wall_ms == 0) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        self->wall_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
        self->wall_at_ms = net_now_ms(net);
    }
    return self->wall_ms;
}

/* ---- soon ---- */

static void soon_link(struct soon *anchor, struct soon *s)
{
    s->prev = anchor->prev;
    s->next = anchor;
    anchor->prev->next = s;
    anchor->prev = s;
}

void net_soon_clear(struct soon *s)
{
    if (!s->next)
        return;
    s->next->prev = s->prev;
    s->prev->next = s->next;
    s->next = s->prev = NULL;
}

static void on_awake(uv_idle_t *idle)
{
    (void)idle; /* that it runs keeps the poll from blocking */
}

void net_soon_set(struct net *net, struct soon *s)
{
    if (s->next)
        return;
    soon_link(&net->soon, s);
    uv_idle_start(&net->awake, on_awake);
}

/* What is set meanwhile waits for the next turn, so that nobody keeps the sockets waiting. */
static void on_after_poll(uv_check_t *check)
{
    struct net *net = check->data;
    struct soon now = {.next = &now, .prev = &now};
    while (net->soon.next != &net->soon) {
        struct soon *s = net->soon.next;
        net_soon_clear(s);
        soon_link(&now, s);
    }
    while (now.next != &now) {
        struct soon *s = now.next;
        net_soon_clear(s);
        s->call(s);
    }
    if (net->soon.next == &net->soon)
        uv_idle_stop(&net->awake);
}

static void on_before_poll(uv_prepare_t *prepare)
{
    struct net *net = prepare->data;
    net->turns++;
    stream_arm_dirty(net);
}

/* ---- messages from other threads ---- */

int net_post(struct net *net, void (*call)(void *argument), void *argument)
{
    pthread_mutex_lock(&net->post_lock);
    bool fits = net->posts_count < POSTS_MAX;
    if (fits)
        net->posts[(net->posts_head + net->posts_count++) % POSTS_MAX] = (struct post){call, argument};
    pthread_mutex_unlock(&net->post_lock);
    if (!fits)
        return -1;
    uv_async_send(&net->posted);
    return 0;
}

static bool post_take(struct net *net, struct post *ret)
{
    pthread_mutex_lock(&net->post_lock);
    bool some = net->posts_count > 0;
    if (some) {
        *ret = net->posts[net->posts_head];
        net->posts_head = (net->posts_head + 1) % POSTS_MAX;
        net->posts_count--;
    }
    pthread_mutex_unlock(&net->post_lock);
    return some;
}

static void on_posted(uv_async_t *async)
{
    struct net *net = async->data;
    struct post p;
    for (int i = 0; i < POSTS_MAX; i++) {
        if (!post_take(net, &p))
            return;
        p.call(p.argument);
    }
    uv_async_send(async); /* somebody posts as fast as we run: let the sockets have a turn */
}

/* ---- life ---- */

static void options_free(struct net_options *o)
{
    free((char *)(uintptr_t)o->dns_servers);
    free((char *)(uintptr_t)o->agent_socket);
    free((struct endpoint *)(uintptr_t)o->proxies);
    *o = (struct net_options){0};
}

/* 0, or -1 with *ret untouched. */
static int options_copy(struct net_options *ret, const struct net_options *o)
{
    struct net_options copy = *o;
    size_t bytes = o->proxies_count * sizeof(*o->proxies);
    struct endpoint *proxies = malloc(bytes ? bytes : 1);
    copy.dns_servers = o->dns_servers ? strdup(o->dns_servers) : NULL;
    copy.agent_socket = o->agent_socket ? strdup(o->agent_socket) : NULL;
    copy.proxies = proxies;
    if (!proxies || (o->dns_servers && !copy.dns_servers) || (o->agent_socket && !copy.agent_socket)) {
        options_free(&copy);
        return -1;
    }
    if (bytes)
        memcpy(proxies, o->proxies, bytes);
    *ret = copy;
    return 0;
}

static void start_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

/* What is the process's, not the worker's. splice() cannot be told MSG_NOSIGNAL. */
static void start_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sigaction action;
    pthread_once(&once, start_library);
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static void start_handles(struct net *net)
{
    net->soon.next = net->soon.prev = &net->soon;
    wheel_start(net);
    must(uv_prepare_init(&net->loop, &net->before_poll) == 0 &&
         uv_check_init(&net->loop, &net->after_poll) == 0 && uv_idle_init(&net->loop, &net->awake) == 0);
    net->posted.data = net->before_poll.data = net->after_poll.data = net;
    uv_prepare_start(&net->before_poll, on_before_poll);
    uv_check_start(&net->after_poll, on_after_poll);
}

static struct net *fail(struct net *net, const char **ret_error, const char *error)
{
    *ret_error = error;
    if (net) {
        options_free(&net->options);
        free(net->posts);
        free(net);
    }
    return NULL;
}

struct net *net_new(const struct net_options *options, const char **ret_error)
{
    static const char no_memory[] = "out of memory";
    start_process();
    struct net *net = calloc(1, sizeof(*net));
    if (!net || options_copy(&net->options, options) != 0)
        return fail(net, ret_error, no_memory);
    net->sys = &sys_libc;
    net->resolv_conf = "/etc/resolv.conf";
    net->hosts_file = "/etc/hosts";
    net->dns_port = 53;
    net->posts = calloc(POSTS_MAX, sizeof(*net->posts));
    if (!net->posts)
        return fail(net, ret_error, no_memory);
    int failed = uv_loop_init(&net->loop);
    if (failed)
        return fail(net, ret_error, strerrordesc_np(-failed));
    failed = uv_async_init(&net->loop, &net->posted, on_posted);
    if (!failed && (failed = watch_start(net)) != 0) {
        uv_close((uv_handle_t *)&net->posted, NULL);
        uv_run(&net->loop, UV_RUN_DEFAULT);
    }
    if (failed) {
        uv_loop_close(&net->loop);
        return fail(net, ret_error, strerrordesc_np(-failed));
    }
    pthread_mutex_init(&net->post_lock, NULL);
    start_handles(net);
    net->resolver = resolver_new(net, ret_error);
    net->agent = agent_link_new(net);
    if (net->resolver && net->agent && pipe_pool_start(net) == 0)
        return net;
    if (net->resolver)
        *ret_error = no_memory;
    net_free(net);
    return NULL;
}

void net_reconfigure(struct net *net, const struct net_options *options)
{
    struct net_options copy;
    if (options_copy(&copy, options) != 0)
        return; /* the old ones stay in force */
    options_free(&net->options);
    net->options = copy;
    listeners_tune(net);
    resolver_reconfigure(net);
    agent_link_reconfigure(net->agent);
}

void net_run(struct net *net)
{
    uv_run(&net->loop, UV_RUN_DEFAULT);
}

void net_stop(struct net *net)
{
    uv_stop(&net->loop);
}

/* Messages accepted by net_post() are run: they may carry references that somebody has to return. */
void net_free(struct net *net)
{
    struct post p;
    while (post_take(net, &p))
        p.call(p.argument);
    listeners_close(net);
    if (net->agent)
        agent_link_free(net->agent);
    if (net->resolver)
        resolver_free(net->resolver);
    jobs_stop(net);
    must(net->stats.streams == 0 && net->dials == 0);
    wheel_stop(net);
    watch_stop(net);
    uv_close((uv_handle_t *)&net->posted, NULL);
    uv_close((uv_handle_t *)&net->before_poll, NULL);
    uv_close((uv_handle_t *)&net->after_poll, NULL);
    uv_close((uv_handle_t *)&net->awake, NULL);
    uv_run(&net->loop, UV_RUN_DEFAULT);
    while (uv_loop_close(&net->loop) == UV_EBUSY) /* net_stop() may have cut the run above short */
        uv_run(&net->loop, UV_RUN_DEFAULT);
    pipe_pool_stop(net);
    pthread_mutex_destroy(&net->post_lock);
    options_free(&net->options);
    free(net->posts);
    free(net);
}

void net_stats(const struct net *net, struct net_stats *ret)
{
    *ret = net->stats;
    ret->pipes = net->pipes.count;
    ret->has_around = agent_link_around(net->agent, &ret->around);
    agent_link_sees(net->agent, &ret->agent);
    agent_link_state(net->agent, ret->agent_state, sizeof(ret->agent_state), &ret->agent_connected);
}
