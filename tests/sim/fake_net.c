/* fake_net.c: see fake_net.h: streams, lanes, deadlines and the loop. Operations are in fake_ops.c, peers in peer.c. */
#include "fake_internal.h"

#include "base/must.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IDLE_MOVES_MAX = 2000,   /* more callbacks while neither bytes nor the time move: the loop is busy */
    SHORT_WRITES_MAX = 3000, /* by one byte; then by many, or large bodies would take all day */
    SHORT_WRITE_BYTES = 1111,
    WALL_START_S = 1790000000,
    TURN_BYTES_MAX = 5 << 18, /* what both lanes of a relay through TLS may read and write, and some more */
    LANE_BUDGET_BYTES = 64 << 10,
    LIMIT_BYTES = 64 << 20
};

char sim_context[512];

void sim_abort(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sim: %s: ", sim_context);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

const char *injection_name(enum injection i)
{
    static const char *const names[] = {
#define X(name, word) word,
        INJECTIONS(X)
#undef X
    };
    return names[i];
}

/* ---- steps ---- */

static void count_bytes(struct net *net, size_t len)
{
    net->idle_moves = 0;
    net->turn_bytes += len;
    if (net->turn_bytes > TURN_BYTES_MAX)
        sim_abort("%llu bytes in one turn: the other flows wait", (unsigned long long)net->turn_bytes);
}

/* True: this very call is to fail. Everything else happens in the loop, because no callback comes from inside a call. */
bool fake_step(struct net *net)
{
    if (net->steps++ != net->inject_at || net->injection < INJECT_FIRST_AT_STEP)
        return false;
    if (net->injection == INJECT_CALL_FAILS)
        return true;
    net->pending = net->injection;
    return false;
}

static bool reads_one_byte(const struct net *net)
{
    return net->injection == INJECT_ONE_BYTE_READS || net->injection == INJECT_BOTH_SHORT;
}

static bool writes_short(const struct net *net)
{
    return net->injection == INJECT_SHORT_WRITES || net->injection == INJECT_BOTH_SHORT;
}

/* ---- time ---- */

uint64_t net_now_ms(const struct net *net)
{
    return net->now_ms;
}

uint64_t net_wall_ms(const struct net *net)
{
    return net->wall_ms;
}

void net_deadline_clear(struct net_deadline *d)
{
    if (!d->prev) /* `prev` of the first points to itself: says that it is set */
        return;
    struct net *net = fake_the_net;
    if (net->deadlines == d)
        net->deadlines = d->next;
    else
        d->prev->next = d->next;
    if (d->next)
        d->next->prev = d->prev == d ? d->next : d->prev;
    d->next = d->prev = NULL;
}

void net_deadline_set(struct net *net, struct net_deadline *d, uint64_t after_ms)
{
    must(net == fake_the_net);
    net_deadline_clear(d);
    d->due_ms = net->now_ms + after_ms;
    d->next = net->deadlines;
    d->prev = d;
    if (d->next)
        d->next->prev = d;
    net->deadlines = d;
}

static struct net_deadline *earliest(const struct net *net)
{
    struct net_deadline *best = NULL;
    for (struct net_deadline *d = net->deadlines; d; d = d->next)
        if (!best || d->due_ms <= best->due_ms) /* the oldest of equals: it stands last */
            best = d;
    return best;
}

/* ---- streams ---- */

struct net_stream *fake_stream_new(struct net *net, struct peer *p)
{
    struct net_stream *s = calloc(1, sizeof *s);
    must(s);
    s->net = net;
    s->peer = p;
    p->stream = s;
    net->streams++;
    return s;
}

void net_stream_own(struct net_stream *s, void *owner, net_ready_fn *ready)
{
    s->owner = owner;
    s->ready = ready;
}

void net_stream_want(struct net_stream *s, unsigned ready)
{
    s->want = ready & (NET_READABLE | NET_WRITABLE);
}

static ssize_t fail(struct net_stream *s, int error)
{
    s->error = error;
    return NET_FAILED;
}

ssize_t net_stream_read(struct net_stream *s, void *ret_data, size_t size)
{
    struct peer *p = s->peer;
    must(size > 0);
    if (fake_step(s->net))
        return fail(s, ECONNRESET);
    size_t len = buf_len(&p->to_flow);
    if (len == 0 && p->rst_sent)
        return fail(s, ECONNRESET);
    if (len == 0 && p->fin_sent) {
        s->hangup_told = true;
        return 0;
    }
    if (len == 0)
        return NET_AGAIN;
    len = len < size ? len : size;
    if (reads_one_byte(s->net))
        len = s->net->short_reads++ < SHORT_WRITES_MAX || len < SHORT_WRITE_BYTES ? 1 : SHORT_WRITE_BYTES;
    count_bytes(s->net, len);
    memcpy(ret_data, buf_span(&p->to_flow).data, len);
    buf_consume(&p->to_flow, len);
    return (ssize_t)len;
}

ssize_t net_stream_write(struct net_stream *s, const void *data, size_t len)
{
    struct peer *p = s->peer;
    struct net *net = s->net;
    must(!s->finished);
    if (len == 0)
        return 0;
    if (fake_step(net))
        return fail(s, ECONNRESET);
    if (p->rst_sent)
        return fail(s, EPIPE);
    size_t room = p->stopped ? PEER_WINDOW_BYTES - buf_len(&p->window) : PEER_WINDOW_BYTES;
    if (room == 0)
        return NET_AGAIN;
    if (writes_short(net)) {
        s->write_turn = !s->write_turn;
        if (s->write_turn)
            return NET_AGAIN;
        len = net->short_writes++ < SHORT_WRITES_MAX || len < SHORT_WRITE_BYTES ? 1 : SHORT_WRITE_BYTES;
    }
    len = len < room ? len : room;
    if (!p->is_client && net->world.to_server)
        net->world.to_server(net->world.owner, s->owner, p, span_of(data, len));
    peer_take(p, span_of(data, len));
    count_bytes(net, len);
    return (ssize_t)len;
}

int net_stream_errno(const struct net_stream *s)
{
    return s->error;
}

const struct endpoint *net_stream_peer(const struct net_stream *s)
{
    return &s->peer->address;
}

const struct endpoint *net_stream_local(const struct net_stream *s)
{
    return &s->peer->flow_address;
}

void net_stream_finish(struct net_stream *s)
{
    s->finished = true;
    s->peer->got_fin = true;
}

/* As the kernel does: closing with unread bytes is a reset. */
void net_stream_close(struct net_stream *take_s, enum net_close how)
{
    struct peer *p = take_s->peer;
    if (how == NET_CLOSE_RST || buf_len(&p->to_flow) > 0)
        p->got_rst = true;
    else
        p->got_fin = true;
    p->flow_closed = true;
    p->stream = NULL;
    buf_clear(&p->to_flow);
    take_s->net->streams--;
    free(take_s);
}

/* ---- lanes ---- */

struct net_pipe {
    struct buf bytes;
};

void net_lane_drop(struct net *net, struct net_lane *lane)
{
    if (!lane->pipe)
        return;
    buf_free(&lane->pipe->bytes);
    free(lane->pipe);
    lane->pipe = NULL;
    net->pipes--;
}

/* False: `to` is full or broke (*ret says which). */
static bool lane_flush(struct net_lane *lane, struct net_stream *to, enum net_lane_state *ret)
{
    while (lane->pipe && buf_len(&lane->pipe->bytes) > 0) {
        struct span bytes = buf_span(&lane->pipe->bytes);
        ssize_t n = net_stream_write(to, bytes.data, bytes.len);
        if (n < 0) {
            *ret = n == NET_AGAIN ? NET_LANE_WAIT_WRITE : NET_LANE_WRITE_FAILED;
            return false;
        }
        buf_consume(&lane->pipe->bytes, (size_t)n);
        lane->moved_bytes += (uint64_t)n;
    }
    return true;
}

static void lane_count(struct net *net, struct net_lane *lane, struct peer *from, struct peer *to)
{
    if (from->bulk_bytes == 0 || buf_len(&from->to_flow) > 0)
        return;
    net->idle_moves = 0;
    lane->moved_bytes += from->bulk_bytes;
    from->sent_bytes += from->bulk_bytes;
    to->got_bytes += from->bulk_bytes;
    from->bulk_bytes = 0;
}

static enum net_lane_state lane_run(struct net *net, struct net_lane *lane, struct net_stream *from,
                                    struct net_stream *to)
{
    enum net_lane_state state = NET_LANE_WAIT_READ;
    for (size_t taken = 0;;) {
        if (!lane_flush(lane, to, &state))
            return state;
        if (lane->ended)
            return NET_LANE_DONE;
        if (taken >= LANE_BUDGET_BYTES)
            return NET_LANE_WAIT_READ;
        lane_count(net, lane, from->peer, to->peer);
        uint8_t bytes[8192];
        ssize_t n = net_stream_read(from, bytes, sizeof bytes);
        if (n < 0)
            return n == NET_AGAIN ? NET_LANE_WAIT_READ : NET_LANE_READ_FAILED;
        lane->ended = n == 0;
        if (n > 0 && !lane->pipe) {
            lane->pipe = calloc(1, sizeof *lane->pipe);
            must(lane->pipe);
            buf_init(&lane->pipe->bytes, LIMIT_BYTES);
            net->pipes++;
        }
        if (n > 0 && lane->watch)
            record_watch_feed(lane->watch, span_of(bytes, (size_t)n));
        if (n > 0)
            buf_append(&lane->pipe->bytes, bytes, (size_t)n);
        taken += (size_t)n;
    }
}

enum net_lane_state net_lane_move(struct net *net, struct net_lane *lane, struct net_stream *from,
                                  struct net_stream *to)
{
    enum net_lane_state state = lane_run(net, lane, from, to);
    if (lane->pipe && buf_len(&lane->pipe->bytes) == 0)
        net_lane_drop(net, lane);
    return state;
}

/* ---- the loop ---- */

static unsigned readiness(const struct net_stream *s)
{
    const struct peer *p = s->peer;
    unsigned ready = 0;
    bool ended = p->fin_sent || p->rst_sent;
    if (s->want & NET_READABLE && (buf_len(&p->to_flow) > 0 || p->bulk_bytes > 0 || ended))
        ready |= NET_READABLE;
    if (s->want & NET_WRITABLE && (p->rst_sent || !p->stopped || buf_len(&p->window) < PEER_WINDOW_BYTES))
        ready |= NET_WRITABLE;
    if (ended && !(s->want & NET_READABLE) && !s->hangup_told)
        ready |= NET_HANGUP;
    return ready;
}

static void tell(struct net_stream *s, unsigned ready)
{
    if (ready & NET_HANGUP)
        s->hangup_told = true;
    fake_step(s->net);
    s->ready(s->owner, s, ready);
}

/* One stream that is ready; they take turns. */
static bool run_stream(struct net *net)
{
    for (unsigned i = 0; i < net->peer_count; i++) {
        struct peer *p = net->peers[(net->turn + i) % net->peer_count];
        if (!p->stream || !p->stream->ready)
            continue;
        unsigned ready = readiness(p->stream);
        if (ready == 0)
            continue;
        net->turn = (net->turn + i + 1) % net->peer_count;
        tell(p->stream, ready);
        return true;
    }
    return false;
}

static bool run_deadline(struct net *net)
{
    struct net_deadline *d = earliest(net);
    if (!d || d->due_ms > net->now_ms)
        return false;
    net_deadline_clear(d);
    fake_step(net);
    d->expired(d);
    return true;
}

static void wake_all(struct net *net)
{
    for (unsigned i = 0; i < net->peer_count; i++)
        if (net->peers[i]->stream && net->peers[i]->stream->ready)
            net->peers[i]->stream->ready(net->peers[i]->stream->owner, net->peers[i]->stream,
                                         NET_READABLE | NET_WRITABLE);
}

static void for_side(struct net *net, bool client, void (*act)(struct peer *))
{
    for (unsigned i = 0; i < net->peer_count; i++)
        if (net->peers[i]->is_client == client && !net->peers[i]->fin_sent && !net->peers[i]->rst_sent)
            act(net->peers[i]);
}

static void run_deadline_early(struct net *net)
{
    struct net_deadline *d = earliest(net);
    if (!d)
        return;
    if (d->due_ms > net->now_ms) {
        net->wall_ms += d->due_ms - net->now_ms;
        net->now_ms = d->due_ms;
    }
    net_deadline_clear(d);
    d->expired(d);
}

static bool run_injection(struct net *net)
{
    enum injection what = net->pending;
    net->pending = INJECT_NOTHING;
    switch (what) {
    case INJECT_NOTHING:
        return false;
    case INJECT_CLIENT_EOF:
    case INJECT_SERVER_EOF:
        for_side(net, what == INJECT_CLIENT_EOF, peer_finish);
        return true;
    case INJECT_CLIENT_RESET:
    case INJECT_SERVER_RESET:
        for_side(net, what == INJECT_CLIENT_RESET, peer_reset);
        return true;
    case INJECT_DEADLINE:
        run_deadline_early(net);
        return true;
    case INJECT_SPURIOUS:
        wake_all(net);
        return true;
    default:
        net->world.inject(net->world.owner, what);
        return true;
    }
}

void fake_net_settle(struct net *net)
{
    while (net->turn_bytes = 0,
           run_injection(net) || fake_run_op(net) || run_stream(net) || run_deadline(net))
        if (++net->idle_moves > IDLE_MOVES_MAX)
            sim_abort("busy: %u callbacks, and nothing moved", net->idle_moves);
}

uint64_t fake_net_next_due(const struct net *net)
{
    const struct net_deadline *d = earliest(net);
    uint64_t op = fake_next_op(net);
    return d && d->due_ms < op ? d->due_ms : op;
}

void fake_net_run_for(struct net *net, uint64_t ms)
{
    uint64_t until = net->now_ms + ms;
    fake_net_settle(net);
    while (net->now_ms < until) {
        uint64_t next = fake_net_next_due(net);
        if (next > until)
            next = until;
        if (next > net->now_ms) {
            net->wall_ms += next - net->now_ms;
            net->now_ms = next;
            net->idle_moves = 0;
        }
        fake_net_settle(net);
    }
}

/* ---- life ---- */

struct net *fake_the_net;

struct net *fake_net_new(const struct world *world)
{
    struct net *net = calloc(1, sizeof *net);
    must(net && !fake_the_net);
    net->world = *world;
    net->now_ms = 1000;
    net->wall_ms = WALL_START_S * (uint64_t)1000;
    fake_the_net = net;
    return net;
}

bool fake_net_is_idle(const struct net *net)
{
    return net->streams == 0 && net->pipes == 0 && !net->deadlines && !net->ops;
}

void fake_net_free(struct net *take_net)
{
    if (take_net->streams || take_net->pipes || take_net->deadlines || take_net->ops)
        sim_abort("left open: %u streams, %u pipes, deadlines: %s, operations: %s", take_net->streams,
                  take_net->pipes, take_net->deadlines ? "yes" : "no", take_net->ops ? "yes" : "no");
    for (unsigned i = 0; i < take_net->peer_count; i++)
        peer_free(take_net->peers[i]);
    free(take_net);
    fake_the_net = NULL;
}

void fake_net_forget_closed(struct net *net)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < net->peer_count; i++)
        if (net->peers[i]->stream)
            net->peers[kept++] = net->peers[i];
        else
            peer_free(net->peers[i]);
    net->peer_count = kept;
    net->turn = 0;
}

struct net_stream *fake_net_connect(struct net *net, const struct endpoint *client,
                                    const struct endpoint *proxy, struct peer **ret_peer)
{
    struct peer *p = peer_new(net, true, client, proxy);
    if (!p)
        return NULL;
    *ret_peer = p;
    return fake_stream_new(net, p);
}
