/* deadline.c: the hashed timer wheel. Every wait of every flow is one of these, set and moved at each read: so setting
 * and clearing are a few pointers, and one libuv timer serves all. It sleeps until the earliest slot is due.
 * Called by everyone above and by net/ itself; touches the loop's clock only. */
#include "net/internal.h"

#include "base/must.h"

static void link_last(struct net_deadline *head, struct net_deadline *d)
{
    d->prev = head->prev;
    d->next = head;
    head->prev->next = d;
    head->prev = d;
}

void net_deadline_clear(struct net_deadline *d)
{
    if (!d->next)
        return;
    d->next->prev = d->prev;
    d->prev->next = d->next;
    d->next = d->prev = NULL;
}

static void on_timer(uv_timer_t *timer);

static void timer_set(struct net *net, uint64_t tick)
{
    uint64_t due = tick * WHEEL_TICK_MS, now = net_now_ms(net);
    if (tick >= net->wheel.timer_tick)
        return;
    net->wheel.timer_tick = tick;
    uv_timer_start(&net->wheel.timer, on_timer, due > now ? due - now : 0, 0);
}

void net_deadline_set(struct net *net, struct net_deadline *d, uint64_t after_ms)
{
    net_deadline_clear(d);
    uint64_t longest = UINT64_MAX / 4;
    uint64_t due = net_now_ms(net) + (after_ms < longest ? after_ms : longest);
    uint64_t tick = (due + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    d->due_ms = tick * WHEEL_TICK_MS;
    struct net_deadline *head = &net->wheel.slots[tick % WHEEL_SLOTS].head;
    uint64_t *earliest = &net->wheel.slots[tick % WHEEL_SLOTS].earliest_tick;
    if (head->next == head || tick < *earliest)
        *earliest = tick;
    link_last(head, d);
    timer_set(net, tick);
}

/* Moves what is due from a slot to `firing`; what stays decides the slot's earliest anew. */
static void slot_collect(struct wheel *w, unsigned slot, uint64_t now, struct net_deadline *firing)
{
    struct net_deadline *head = &w->slots[slot].head, *next;
    uint64_t earliest = UINT64_MAX;
    for (struct net_deadline *d = head->next; d != head; d = next) {
        next = d->next;
        if (d->due_ms <= now) {
            net_deadline_clear(d);
            link_last(firing, d);
        } else if (d->due_ms / WHEEL_TICK_MS < earliest) {
            earliest = d->due_ms / WHEEL_TICK_MS;
        }
    }
    w->slots[slot].earliest_tick = earliest;
}

static bool slot_used(const struct wheel *w, unsigned slot)
{
    return w->slots[slot].head.next != &w->slots[slot].head;
}

static void on_timer(uv_timer_t *timer)
{
    struct net *net = timer->data;
    struct wheel *w = &net->wheel;
    uint64_t now = net_now_ms(net);
    struct net_deadline firing = {.next = &firing, .prev = &firing};

    w->timer_tick = UINT64_MAX;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        if (slot_used(w, i) && w->slots[i].earliest_tick * WHEEL_TICK_MS <= now)
            slot_collect(w, i, now, &firing);
    }
    /* Whatever a callback sets goes to the wheel and whatever it clears leaves `firing`: one at a time is safe. */
    while (firing.next != &firing) {
        struct net_deadline *d = firing.next;
        net_deadline_clear(d);
        d->expired(d);
    }
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        if (slot_used(w, i) && w->slots[i].earliest_tick < earliest)
            earliest = w->slots[i].earliest_tick;
    }
    if (earliest != UINT64_MAX)
        timer_set(net, earliest);
}

void wheel_start(struct net *net)
{
    struct wheel *w = &net->wheel;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        w->slots[i].head.next = w->slots[i].head.prev = &w->slots[i].head;
    w->timer_tick = UINT64_MAX;
    must(uv_timer_init(&net->loop, &w->timer) == 0);
    w->timer.data = net;
}

/* Deadlines still set belong to owners that are gone or going: they are cut loose, not called. */
void wheel_stop(struct net *net)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        while (slot_used(&net->wheel, i))
            net_deadline_clear(net->wheel.slots[i].head.next);
    }
    uv_close((uv_handle_t *)&net->wheel.timer, NULL);
}
