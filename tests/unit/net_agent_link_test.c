/* net_agent_link_test.c: the proxy's end of the agent protocol against a scripted agent that runs step by step. */
#include "net_help.h"

#include <sys/stat.h>
#include <sys/un.h>

enum agent_mood {
    ANSWER_FULL_FIRST, /* as the protocol says: the sender once, then its ref */
    ANSWER_REF_ALWAYS,
    ANSWER_HISTORY,
    ANSWER_UNKNOWN,
    ANSWER_AMBIGUOUS,
    ANSWER_WRONG_NONCE,
    ANSWER_TWICE,
    ANSWER_ERROR,
    STAY_SILENT,
    NO_HELLO,
};

struct agent {
    char path[64];
    int listener, fd;
    enum agent_mood mood;
    struct buf in, out;
    unsigned connections, hellos, asks, full_asks, proxies, watches, ended;
    unsigned keep; /* as its hello says */
    struct agent_keep kept;
    unsigned keeps;
    enum agent_keep_outcome outcome;
    bool sent_full, reversed, does_not_read;
    struct agent_ask held[64]; /* answered in the opposite order when `reversed` */
    unsigned held_count, hold;
    struct agent_ask last;
};

static void agent_listen(struct agent *a)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, a->path);
    unlink(a->path);
    a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(a->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(a->listener, 8), 0);
}

static void agent_start(struct agent *a, enum agent_mood mood)
{
    *a = (struct agent){.fd = -1, .mood = mood};
    snprintf(a->path, sizeof(a->path), "/tmp/exeat_agent_%ld", (long)getpid());
    agent_listen(a);
    buf_init(&a->in, 1 << 20);
    buf_init(&a->out, 1 << 20);
}

static void agent_hang_up(struct agent *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->sent_full = false;
    buf_clear(&a->in);
    buf_clear(&a->out);
}

static void agent_stop(struct agent *a)
{
    agent_hang_up(a);
    close(a->listener);
    unlink(a->path);
    buf_free(&a->in);
    buf_free(&a->out);
}

static struct sender *make_sender(const char *ref)
{
    struct sender *s = sender_new();
    assert_non_null(s);
    s->ref = arena_strdup(&s->arena, ref);
    s->pid = 42;
    s->start_ticks = 7;
    s->name = arena_strdup(&s->arena, "curl");
    s->executable = arena_strdup(&s->arena, "/usr/bin/curl");
    assert_int_equal(sender_render(s), 0);
    return s;
}

static void agent_answer(struct agent *a, const struct agent_ask *ask)
{
    struct agent_answer answer = {.id = ask->id, .confidence = AGENT_CONFIDENCE_EXACT};
    memcpy(answer.nonce, ask->nonce, sizeof(answer.nonce));
    strcpy(answer.host, "ws-17");
    strcpy(answer.sender_ref, "42.7.1");
    if (a->mood == ANSWER_ERROR) {
        struct agent_error e = {.has_id = true, .id = ask->id, .code = AGENT_ERROR_BAD_ASK};
        assert_int_equal(agent_error_write(&a->out, &e), 0);
        return;
    }
    if (a->mood == ANSWER_UNKNOWN || a->mood == ANSWER_AMBIGUOUS) {
        bool unknown = a->mood == ANSWER_UNKNOWN;
        answer.confidence = unknown ? AGENT_CONFIDENCE_UNKNOWN : AGENT_CONFIDENCE_AMBIGUOUS;
        answer.reason = unknown ? AGENT_REASON_VANISHED : AGENT_REASON_SEVERAL_HOLDERS;
        answer.sender_ref[0] = '\0';
    } else if (a->mood != ANSWER_REF_ALWAYS && (!a->sent_full || ask->full)) {
        answer.sender = make_sender("42.7.1");
        a->sent_full = true;
    }
    struct agent_history history = {
        .window_s = 3600, .rows = {{.kind = AGENT_HISTORY_EXEC_ARCHIVER, .count = 3}}, .row_count = 1};
    if (a->mood == ANSWER_HISTORY && ask->brief) {
        answer.history_same = !answer.sender;
        answer.history = answer.sender ? &history : NULL;
    }
    answer.watched = ask->watch && a->mood != ANSWER_REF_ALWAYS;
    if (a->mood == ANSWER_WRONG_NONCE)
        answer.nonce[0] = answer.nonce[0] == '0' ? '1' : '0';
    for (int i = 0; i < (a->mood == ANSWER_TWICE ? 2 : 1); i++)
        assert_int_equal(agent_answer_write(&a->out, &answer), 0);
    sender_unref(answer.sender);
}

static void agent_take_keep(struct agent *a, const struct agent_keep *keep)
{
    struct agent_kept kept = {.id = keep->id, .outcome = a->outcome};
    assert_true(a->keep > 0);
    a->keeps++;
    a->kept = *keep;
    if (a->mood == STAY_SILENT)
        return;
    if (a->mood == ANSWER_ERROR) {
        struct agent_error e = {.has_id = true, .id = keep->id, .code = AGENT_ERROR_UNKNOWN_TYPE};
        assert_int_equal(agent_error_write(&a->out, &e), 0);
        return;
    }
    memcpy(kept.nonce, keep->nonce, sizeof kept.nonce);
    if (a->mood == ANSWER_WRONG_NONCE)
        kept.nonce[0] = kept.nonce[0] == '0' ? '1' : '0';
    strcpy(kept.host, "ws-17");
    strcpy(kept.sender_ref, keep->sender_ref);
    kept.until_ms = a->outcome == AGENT_KEEP_KEPT ? 1790000000000 : 0;
    assert_int_equal(agent_kept_write(&a->out, &kept), 0);
}

static void agent_take(struct agent *a, const struct agent_message *m)
{
    if (m->type == AGENT_MESSAGE_HELLO) {
        a->hellos++;
        a->proxies = (unsigned)m->u.hello.proxy_count;
        return;
    }
    a->ended += m->type == AGENT_MESSAGE_DONE && m->u.done == a->last.id;
    if (m->type == AGENT_MESSAGE_DONE)
        return;
    if (m->type == AGENT_MESSAGE_KEEP) {
        agent_take_keep(a, &m->u.keep);
        return;
    }
    assert_int_equal(m->type, AGENT_MESSAGE_ASK);
    assert_true(a->hellos > 0);
    a->asks++;
    a->watches += m->u.ask.watch;
    a->full_asks += m->u.ask.full;
    a->last = m->u.ask;
    if (a->mood == STAY_SILENT)
        return;
    a->held[a->held_count++] = m->u.ask;
    if (a->held_count <= a->hold)
        return;
    while (a->held_count > 0) {
        a->held_count--;
        agent_answer(a, &a->held[a->held_count]);
    }
}

static void agent_greet(struct agent *a)
{
    static struct agent_hello hello = {
        .version = 1, .program = "test", .host_name = "ws-17", .owner = "proc"};
    a->connections++;
    hello.keep = a->keep;
    if (a->mood != NO_HELLO)
        assert_int_equal(agent_hello_write(&a->out, &hello), 0);
}

static void agent_step(struct agent *a)
{
    char data[65536];
    if (a->fd < 0) {
        a->fd = accept4(a->listener, NULL, NULL, SOCK_NONBLOCK);
        if (a->fd < 0)
            return;
        agent_greet(a);
    }
    ssize_t n = a->does_not_read ? -1 : recv(a->fd, data, sizeof(data), 0);
    if (n == 0) {
        agent_hang_up(a);
        return;
    }
    if (n > 0)
        assert_int_equal(buf_append(&a->in, data, (size_t)n), 0);
    struct span line;
    size_t used;
    while (agent_line_next(buf_span(&a->in), &line, &used) == PARSE_OK) {
        struct agent_message m;
        struct agent_error e;
        if (agent_message_decode(line, &m, &e) == 0) {
            agent_take(a, &m);
            agent_message_free(&m);
        }
        buf_consume(&a->in, used);
    }
    struct span out = buf_span(&a->out);
    n = out.len ? send(a->fd, out.data, out.len, MSG_NOSIGNAL) : 0;
    if (n > 0)
        buf_consume(&a->out, (size_t)n);
}

static bool step(struct agent *a)
{
    agent_step(a);
    return false;
}

/* ---- asking ---- */

struct asked {
    struct net_attribution attribution;
    unsigned done, changed;
};

static void on_done(struct net_attribution *a)
{
    ((struct asked *)a)->done++;
    assert_null(a->operation);
}

static bool ask(struct net *net, struct asked *a)
{
    struct endpoint client = help_endpoint("127.0.0.1:40000"), proxy = help_endpoint("127.0.0.1:3128");
    *a = (struct asked){.attribution = {.done = on_done}};
    bool at_once = net_attribute(net, &a->attribution, &client, &proxy, true);
    assert_int_equal(a->done, 0);
    assert_true(at_once == (a->attribution.operation == NULL));
    return at_once;
}

static void attribute(struct net *net, struct agent *agent, struct asked *a)
{
    if (!ask(net, a))
        help_until(net, step(agent) || a->done);
}

static bool is_up(struct net *net)
{
    struct net_stats stats;
    net_stats(net, &stats);
    return stats.agent_connected;
}

static struct net *net_with_keeping(struct agent *agent, enum agent_mood mood, unsigned keep)
{
    static const struct endpoint proxies[2] = {{{4, {127, 0, 0, 1}}, 3128}, {{6, {[15] = 1}}, 3128}};
    struct net_options o = help_options();
    agent_start(agent, mood);
    agent->keep = keep;
    o.agent_socket = agent->path;
    o.proxies = proxies;
    o.proxies_count = 2;
    o.hash_wait_ms = 20;
    struct net *net = help_net(&o);
    if (mood != NO_HELLO)
        help_until(net, step(agent) || (is_up(net) && agent->hellos));
    return net;
}

static struct net *net_with(struct agent *agent, enum agent_mood mood)
{
    return net_with_keeping(agent, mood, 0);
}

static void a_sender_comes_once_and_is_known_by_its_ref(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a[3];
    struct net_stats stats;
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    assert_int_equal(agent.proxies, 2);
    net_stats(net, &stats);
    assert_string_equal(stats.agent_state, "connected: host ws-17, owner by proc");
    for (int i = 0; i < 3; i++) {
        attribute(net, &agent, &a[i]);
        assert_int_equal(a[i].attribution.confidence, AGENT_CONFIDENCE_EXACT);
        assert_string_equal(a[i].attribution.sender->executable, "/usr/bin/curl");
        assert_string_equal(a[i].attribution.reason, "");
    }
    assert_ptr_equal(a[0].attribution.sender, a[2].attribution.sender);
    assert_int_equal(agent.asks, 3);
    assert_int_equal(agent.full_asks, 0);
    assert_int_equal(agent.last.client.port, 40000);
    assert_int_equal(agent.last.proxy.port, 3128);
    assert_true(agent.last.want_hash);
    assert_int_equal(agent.last.hash_wait_ms, 20);
    net_free(net); /* the senders outlive the link */
    for (int i = 0; i < 3; i++) {
        assert_string_equal(a[i].attribution.sender->name, "curl");
        sender_unref(a[i].attribution.sender);
    }
    agent_stop(&agent);
}

static void on_watched_done(struct net_attribution *a)
{
    ((struct asked *)a)->done++;
}

static void on_changed(struct net_attribution *a)
{
    ((struct asked *)a)->changed++;
}

static void say_changed(struct agent *a, enum agent_reason reason, const char *ref, const char *nonce)
{
    struct agent_answer answer = {.id = a->last.id,
                                  .confidence = AGENT_CONFIDENCE_STALE,
                                  .basis = AGENT_BASIS_CONNECT,
                                  .reason = reason,
                                  .watched = true};
    strcpy(answer.nonce, nonce);
    strcpy(answer.host, "ws-17");
    strcpy(answer.sender_ref, ref);
    assert_int_equal(agent_changed_write(&a->out, &answer), 0);
}

/* What lives for a second is asked about once more and watched; what the agent says then reaches the owner, until he cancels. */
static void a_connection_that_lives_is_watched(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a = {.attribution = {.done = on_watched_done, .changed = on_changed}};
    struct endpoint client = help_endpoint("127.0.0.1:40000"), proxy = help_endpoint("127.0.0.1:3128");
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    assert_false(net_attribute(net, &a.attribution, &client, &proxy, true));
    help_until(net, step(&agent) || a.done);
    const struct sender *sender = a.attribution.sender;
    assert_int_equal(agent.watches, 0);
    help_until(net, step(&agent) || agent.watches);
    assert_int_equal(agent.asks, 2);
    say_changed(&agent, AGENT_REASON_HANDED_OVER, "42.7.1", "0000000000000000"); /* forged: another nonce */
    say_changed(&agent, AGENT_REASON_EXEC_CHANGED, "42.7.1", agent.last.nonce);
    help_until(net, step(&agent) || a.changed);
    assert_int_equal(a.changed, 1);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.attribution.confidence, AGENT_CONFIDENCE_STALE);
    assert_string_equal(a.attribution.reason, "exec_changed");
    assert_ptr_equal(a.attribution.sender, sender);
    say_changed(&agent, AGENT_REASON_HANDED_OVER, "43.8.2", agent.last.nonce); /* whom we never heard of */
    help_until(net, step(&agent) || agent.full_asks);
    help_until(net, step(&agent) || a.changed == 2);
    assert_string_equal(a.attribution.sender->ref, "42.7.1");
    net_attribute_cancel(net, &a.attribution);
    help_until(net, step(&agent) || agent.ended);
    assert_null(a.attribution.operation);
    sender_unref(a.attribution.sender);
    net_free(net);
    agent_stop(&agent);
}

/* After a new link it is asked about again; what the agent doesn't watch, too. */
static void a_lost_link_is_watched_again(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a = {.attribution = {.done = on_watched_done, .changed = on_changed}};
    struct endpoint client = help_endpoint("127.0.0.1:40000"), proxy = help_endpoint("127.0.0.1:3128");
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    assert_false(net_attribute(net, &a.attribution, &client, &proxy, true));
    help_until(net, step(&agent) || agent.watches);
    agent_hang_up(&agent);
    help_until(net, step(&agent) || agent.watches == 2);
    assert_int_equal(agent.connections, 2);
    assert_int_equal(a.changed, 0);
    assert_int_equal(a.attribution.confidence, AGENT_CONFIDENCE_EXACT);
    agent_hang_up(&agent);
    net_attribute_cancel(net, &a.attribution);
    sender_unref(a.attribution.sender);
    net_free(net);
    agent_stop(&agent);
}

/* ---- keeping ---- */

struct keeping {
    struct net_keep ask;
    unsigned done;
    bool answered;
    enum agent_keep_outcome outcome;
    int64_t until_ms;
};

static void on_kept(struct net_keep *ask, const struct agent_kept *kept)
{
    struct keeping *k = (struct keeping *)ask;
    k->done++;
    k->answered = kept != NULL;
    k->outcome = kept ? kept->outcome : AGENT_KEEP_UNKNOWN;
    k->until_ms = kept ? kept->until_ms : 0;
}

static struct keeping keeping_of(const char *ref)
{
    struct keeping k = {.ask = {.done = on_kept, .message.seconds = 3600}};
    strcpy(k.ask.message.sender_ref, ref);
    return k;
}

static void an_agent_is_asked_to_keep(void **state)
{
    (void)state;
    struct agent agent;
    struct net *net = net_with_keeping(&agent, ANSWER_FULL_FIRST, 64);
    agent.outcome = AGENT_KEEP_KEPT;
    struct keeping k = keeping_of("42.7.1");
    assert_true(net_keep_ask(net, &k.ask));
    help_until(net, step(&agent) || k.done);
    assert_true(k.answered && k.outcome == AGENT_KEEP_KEPT && k.until_ms == 1790000000000);
    assert_string_equal(agent.kept.sender_ref, "42.7.1");
    assert_int_equal(agent.kept.seconds, 3600);
    agent.outcome = AGENT_KEEP_FULL;
    k = keeping_of("42.7.2");
    assert_true(net_keep_ask(net, &k.ask));
    help_until(net, step(&agent) || k.done);
    assert_true(k.answered && k.outcome == AGENT_KEEP_FULL && k.until_ms == 0);
    net_free(net);
    agent_stop(&agent);
}

/* An agent that doesn't know the message is not asked; nor is one that isn't there. */
static void an_older_agent_is_not_asked_to_keep(void **state)
{
    (void)state;
    struct agent agent;
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    struct keeping k = keeping_of("42.7.1");
    assert_false(net_keep_ask(net, &k.ask));
    net_free(net);
    agent_stop(&agent);
    net = help_net(NULL);
    assert_false(net_keep_ask(net, &k.ask));
    net_free(net);
    assert_int_equal(k.done, 0);
}

/* Each that was asked ends once: by an error, in time, with the link, with net/. And there are never more than a few. */
static void a_keep_without_an_answer_ends(void **state)
{
    (void)state;
    static const enum agent_mood moods[] = {ANSWER_ERROR, ANSWER_WRONG_NONCE, STAY_SILENT};
    struct agent agent;
    struct keeping k[AGENT_KEEPS_MAX + 1];
    struct net *net;
    for (unsigned i = 0; i < ARRAY_LEN(moods); i++) {
        net = net_with_keeping(&agent, moods[i], 1);
        k[0] = keeping_of("42.7.1");
        assert_true(net_keep_ask(net, &k[0].ask));
        help_until(net, step(&agent) || k[0].done);
        assert_false(k[0].answered);
        net_free(net);
        assert_int_equal(k[0].done, 1);
        agent_stop(&agent);
    }
    net = net_with_keeping(&agent, STAY_SILENT, 1);
    for (unsigned i = 0; i <= AGENT_KEEPS_MAX; i++) {
        k[i] = keeping_of("42.7.1");
        assert_true(net_keep_ask(net, &k[i].ask) == (i < AGENT_KEEPS_MAX));
    }
    help_until(net, step(&agent) || agent.keeps == AGENT_KEEPS_MAX);
    agent_hang_up(&agent);
    help_until(net, k[0].done);
    for (unsigned i = 0; i < AGENT_KEEPS_MAX; i++)
        assert_true(k[i].done == 1 && !k[i].answered);
    assert_int_equal(k[AGENT_KEEPS_MAX].done, 0);
    help_until(net, step(&agent) || is_up(net));
    k[0] = keeping_of("42.7.1");
    assert_true(net_keep_ask(net, &k[0].ask));
    net_free(net);
    assert_true(k[0].done == 1 && !k[0].answered);
    agent_stop(&agent);
}

static void a_forgotten_ref_is_asked_for_in_full_once(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    agent.sent_full = true; /* it believes so */
    attribute(net, &agent, &a);
    assert_int_equal(a.attribution.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(agent.full_asks, 1);
    assert_int_equal(agent.asks, 2);
    sender_unref(a.attribution.sender);
    net_free(net);
    agent_stop(&agent);
    net = net_with(&agent, ANSWER_REF_ALWAYS);
    attribute(net, &agent, &a);
    assert_int_equal(a.attribution.confidence, AGENT_CONFIDENCE_UNKNOWN);
    assert_null(a.attribution.sender);
    assert_string_equal(a.attribution.reason, "unknown");
    assert_int_equal(agent.asks, 2);
    net_free(net);
    agent_stop(&agent);
}

static void the_same_history_is_the_one_that_came_last(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net *net = net_with(&agent, ANSWER_HISTORY);
    for (int i = 0; i < 3; i++) {
        attribute(net, &agent, &a);
        assert_non_null(a.attribution.history);
        assert_int_equal(a.attribution.history->row_count, 1);
        assert_int_equal(a.attribution.history->rows[0].count, 3);
        sender_unref(a.attribution.sender);
        agent_history_unref(a.attribution.history);
    }
    net_free(net);
    agent_stop(&agent);
}

static void each_answer_has_its_confidence_and_reason(void **state)
{
    (void)state;
    static const struct {
        enum agent_mood mood;
        enum agent_confidence confidence;
        const char *reason;
    } cases[] = {
        {ANSWER_UNKNOWN, AGENT_CONFIDENCE_UNKNOWN, "vanished"},
        {ANSWER_AMBIGUOUS, AGENT_CONFIDENCE_AMBIGUOUS, "several_holders"},
        {ANSWER_WRONG_NONCE, AGENT_CONFIDENCE_UNKNOWN, "agent_timeout"},
        {ANSWER_ERROR, AGENT_CONFIDENCE_UNKNOWN, "agent_error"},
        {STAY_SILENT, AGENT_CONFIDENCE_UNKNOWN, "agent_timeout"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent agent;
        struct asked a;
        struct net *net = net_with(&agent, cases[i].mood);
        uint64_t from = net_now_ms(net);
        attribute(net, &agent, &a);
        assert_int_equal(a.attribution.confidence, cases[i].confidence);
        assert_string_equal(a.attribution.reason, cases[i].reason);
        assert_null(a.attribution.sender);
        bool late = strcmp(cases[i].reason, "agent_timeout") == 0;
        assert_int_equal(net->stats.ask_timeouts, late);
        if (late)
            assert_true(net_now_ms(net) - from >= 520); /* with what the hash may take */
        net_free(net);
        agent_stop(&agent);
    }
}

static void pipelined_answers_may_come_in_any_order(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a[60];
    struct net *net = net_with(&agent, ANSWER_TWICE);
    agent.hold = 59;
    for (int i = 0; i < 60; i++)
        assert_false(ask(net, &a[i]));
    net_attribute_cancel(net, &a[5].attribution);
    net_attribute_cancel(net, &a[5].attribution);
    help_until(net, step(&agent) || a[0].done);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(a[i].done, i == 5 ? 0 : 1);
        if (i != 5)
            assert_int_equal(a[i].attribution.confidence, AGENT_CONFIDENCE_EXACT);
        sender_unref(a[i].attribution.sender);
    }
    net_free(net);
    agent_stop(&agent);
}

static void asks_under_way_are_bounded(void **state)
{
    (void)state;
    struct agent agent;
    static struct asked a[1100];
    struct net *net = net_with(&agent, STAY_SILENT);
    for (int i = 0; i < 1100; i++) {
        assert_int_equal(ask(net, &a[i]), i >= 1024);
        if (i >= 1024)
            assert_string_equal(a[i].attribution.reason, "agent_unavailable");
    }
    help_until(net, step(&agent) || agent.asks == 1024);
    for (int i = 0; i < 1024; i += 2)
        net_attribute_cancel(net, &a[i].attribution);
    net_free(net); /* with the others under way */
    agent_stop(&agent);
}

static void a_lost_link_ends_its_asks_and_comes_back(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a, b;
    struct net *net = net_with(&agent, STAY_SILENT);
    assert_false(ask(net, &a));
    help_until(net, step(&agent) || agent.asks == 1);
    close(agent.listener);
    agent_hang_up(&agent);
    help_until(net, a.done);
    assert_string_equal(a.attribution.reason, "agent_unavailable");
    assert_false(is_up(net));
    assert_true(ask(net, &b));
    assert_string_equal(b.attribution.reason, "agent_unavailable");
    assert_true(help_turns(net, 600) < 20); /* it backs off */
    agent.mood = ANSWER_FULL_FIRST;
    agent_listen(&agent);
    help_until(net, step(&agent) || is_up(net));
    assert_int_equal(agent.connections, 2);
    attribute(net, &agent, &a);
    assert_int_equal(a.attribution.confidence, AGENT_CONFIDENCE_EXACT);
    sender_unref(a.attribution.sender);
    net_free(net);
    agent_stop(&agent);
}

static void what_cannot_be_understood_closes_the_link(void **state)
{
    (void)state;
    static const char *const lines[] = {"nonsense\n", "{\"v\":1}\n",
                                        "{\"v\":1,\"type\":\"answer\",\"id\":-1}\n", ""};
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        struct agent agent;
        struct asked a;
        struct net *net = net_with(&agent, STAY_SILENT);
        assert_false(ask(net, &a));
        help_until(net, step(&agent) || agent.asks == 1);
        if (lines[i][0]) {
            buf_append_str(&agent.out, lines[i]);
        } else { /* a line without an end */
            for (int j = 0; j < 2000; j++)
                buf_append_str(&agent.out, "0123456789012345678901234567890123456789");
        }
        help_until(net, step(&agent) || a.done);
        assert_string_equal(a.attribution.reason, "agent_unavailable");
        net_free(net);
        agent_stop(&agent);
    }
}

static void unknown_types_are_answered_and_forgiven(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net *net = net_with(&agent, STAY_SILENT);
    buf_append_str(&agent.out, "{\"v\":1,\"type\":\"news\"}\n");
    agent_step(&agent);
    agent.mood = ANSWER_UNKNOWN;
    help_turns(net, 30);
    char data[256] = {0};
    assert_true(recv(agent.fd, data, sizeof(data) - 1, 0) > 0);
    assert_non_null(strstr(data, "unknown_type"));
    attribute(net, &agent, &a);
    assert_string_equal(a.attribution.reason, "vanished");
    assert_int_equal(agent.connections, 1);
    net_free(net);
    agent_stop(&agent);
}

static void an_agent_of_another_user_is_not_asked(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net_stats stats;
    struct net_options o = help_options();
    agent_start(&agent, ANSWER_FULL_FIRST);
    o.agent_socket = agent.path;
    o.agent_uid = (long)geteuid() + 1;
    struct net *net = help_net(&o);
    assert_true(ask(net, &a));
    assert_string_equal(a.attribution.reason, "agent_unavailable");
    net_stats(net, &stats);
    assert_non_null(strstr(stats.agent_state, "may not attest"));
    agent_step(&agent);
    assert_int_equal(agent.hellos, 0);
    net_free(net);
    agent_stop(&agent);
}

/* Asks made while the agent has yet to greet wait for it, within their own time. */
static void an_agent_without_a_hello_is_left(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net *net = net_with(&agent, NO_HELLO);
    agent.mood = NO_HELLO;
    assert_false(ask(net, &a));
    agent.does_not_read = true;
    help_until(net, step(&agent) || a.done);
    assert_string_equal(a.attribution.reason, "agent_timeout");
    agent.does_not_read = false;
    help_until(net, step(&agent) || agent.connections == 2);
    net_free(net);
    agent_stop(&agent);
}

static void without_a_socket_there_is_no_agent(void **state)
{
    (void)state;
    struct asked a;
    struct net_stats stats;
    struct net *net = help_net(NULL);
    assert_true(ask(net, &a));
    assert_string_equal(a.attribution.reason, "agent_unavailable");
    net_stats(net, &stats);
    assert_string_equal(stats.agent_state, "not configured");
    net_free(net);
}

static void reconfiguring_greets_again_or_moves(void **state)
{
    (void)state;
    struct agent agent;
    struct asked a;
    struct net *net = net_with(&agent, ANSWER_FULL_FIRST);
    struct net_options o = help_options();
    struct endpoint one = help_endpoint("127.0.0.1:3128");
    o.agent_socket = agent.path;
    o.proxies = &one;
    o.proxies_count = 1;
    net_reconfigure(net, &o);
    help_until(net, step(&agent) || agent.hellos == 2);
    assert_int_equal(agent.proxies, 1);
    assert_int_equal(agent.connections, 1);
    o.agent_socket = NULL;
    net_reconfigure(net, &o);
    help_until(net, step(&agent) || agent.fd < 0);
    assert_true(ask(net, &a));
    o.agent_socket = agent.path;
    net_reconfigure(net, &o);
    help_until(net, step(&agent) || is_up(net));
    assert_int_equal(agent.connections, 2);
    net_free(net);
    agent_stop(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_comes_once_and_is_known_by_its_ref),
        cmocka_unit_test(a_connection_that_lives_is_watched),
        cmocka_unit_test(a_lost_link_is_watched_again),
        cmocka_unit_test(an_agent_is_asked_to_keep),
        cmocka_unit_test(an_older_agent_is_not_asked_to_keep),
        cmocka_unit_test(a_keep_without_an_answer_ends),
        cmocka_unit_test(a_forgotten_ref_is_asked_for_in_full_once),
        cmocka_unit_test(the_same_history_is_the_one_that_came_last),
        cmocka_unit_test(each_answer_has_its_confidence_and_reason),
        cmocka_unit_test(pipelined_answers_may_come_in_any_order),
        cmocka_unit_test(asks_under_way_are_bounded),
        cmocka_unit_test(a_lost_link_ends_its_asks_and_comes_back),
        cmocka_unit_test(what_cannot_be_understood_closes_the_link),
        cmocka_unit_test(unknown_types_are_answered_and_forgiven),
        cmocka_unit_test(an_agent_of_another_user_is_not_asked),
        cmocka_unit_test(an_agent_without_a_hello_is_left),
        cmocka_unit_test(without_a_socket_there_is_no_agent),
        cmocka_unit_test(reconfiguring_greets_again_or_moves),
    };
    return cmocka_run_group_tests_name("net_agent_link", tests, NULL, NULL);
}
