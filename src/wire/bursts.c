/* bursts.c: see bursts.h. Pure. */
#include "wire/bursts.h"

#include "base/must.h"

#include <string.h>

enum {
    OVERHEAD_13 = 17 /* content type and tag (RFC 8446, 5.2) */,
    OVERHEAD_12 = 24 /* nonce and tag of AES-GCM (RFC 5288); others are not recognised */,
    HELLO_MIN = 180,
    HELLO_MAX = 2600, /* with a proxy's own header before it */
    FLIGHT_MIN = 450, /* one small certificate; 690 with a plain one for P-256 */
    FLIGHT_MAX = 16000,
    ASKED_MAX = 800, /* of each side, before: a CONNECT, a SOCKS request, session tickets */
};

/* What the tunnel's own protocol puts around: nothing; a WebSocket frame's header, masked (RFC 6455, 5.2) or not; an HTTP/2 DATA frame's. */
static const uint8_t frames_out[] = {0, 6, 8, 9}, frames_in[] = {0, 2, 4, 9};

static bool is_one_of(uint32_t bytes, const uint16_t *sizes, size_t count, const uint8_t *frames)
{
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < 4; n++)
            if (bytes == (uint32_t)sizes[i] + frames[n])
                return true;
    return false;
}

/* ChangeCipherSpec and the client's Finished of TLS 1.3, with SHA-256 and SHA-384. */
static bool is_finished_13(const struct burst *b)
{
    static const uint16_t sizes[] = {64, 80};
    return is_one_of(b->first_bytes, sizes, ARRAY_LEN(sizes), frames_out);
}

/* ClientKeyExchange (X25519, P-256, P-384), ChangeCipherSpec and Finished of TLS 1.2 with ChaCha20-Poly1305 and AES-GCM. */
static bool is_finished_12(const struct burst *b)
{
    static const uint16_t sizes[] = {85, 93, 118, 126, 150, 158};
    return b->records == 1 && is_one_of(b->first_bytes, sizes, ARRAY_LEN(sizes), frames_out);
}

/* The server's ChangeCipherSpec and Finished; with a session ticket they are longer. */
static bool answers_finished_12(const struct burst *b)
{
    enum { TICKET_MIN = 160, TICKET_MAX = 360 };
    static const uint16_t sizes[] = {43, 51};
    return is_one_of(b->first_bytes, sizes, ARRAY_LEN(sizes), frames_in) ||
           (b->first_bytes >= TICKET_MIN && b->first_bytes <= TICKET_MAX);
}

static bool is_hello_and_flight(const struct burst *hello, const struct burst *flight)
{
    return hello->records <= 2 && hello->bytes >= HELLO_MIN && hello->bytes <= HELLO_MAX &&
           flight->bytes >= FLIGHT_MIN && flight->bytes <= FLIGHT_MAX;
}

/* The newest record belongs to last[3]. */
static bool look(const struct bursts *b)
{
    const struct burst *l = b->last;
    bool out = b->count % 2 == 1;
    if (out) /* whoever says Finished in TLS 1.3 goes on talking */
        return b->count >= 3 && l[3].records == 2 && is_finished_13(&l[3]) &&
               is_hello_and_flight(&l[1], &l[2]);
    return b->count >= 4 && l[3].records == 1 && answers_finished_12(&l[3]) && is_finished_12(&l[2]) &&
           is_hello_and_flight(&l[0], &l[1]);
}

/* Hello, flight, Finished, answer; two bursts more where they may have been preceded by a short exchange. */
static bool is_over(const struct bursts *b)
{
    return b->count > (b->asked ? 6 : 4);
}

static void begin(struct bursts *b)
{
    memmove(b->last, b->last + 1, 3 * sizeof b->last[0]);
    b->last[3] = (struct burst){0};
    b->count++;
    if (b->count == 3)
        b->asked = b->last[1].bytes <= ASKED_MAX && b->last[2].bytes <= ASKED_MAX;
}

void bursts_add(struct bursts *b, bool out, bool sealed, size_t payload)
{
    size_t overhead = sealed ? OVERHEAD_13 : OVERHEAD_12;
    if (b->done || payload < overhead)
        return;
    if (sealed && !b->finished_13) { /* the server's flight, and the client's answer to it */
        b->finished_13 = out;
        return;
    }
    if (b->count == 0 && !out)
        return; /* session tickets, or a server that speaks first */
    if ((b->count % 2 == 1) != out)
        begin(b);
    struct burst *now = &b->last[3];
    uint32_t bytes = (uint32_t)(payload - overhead);
    if (now->records == 0)
        now->first_bytes = bytes;
    now->bytes += now->bytes <= FLIGHT_MAX ? bytes : 0; /* more is all the same */
    if (now->records < UINT16_MAX)
        now->records++;
    b->found = look(b);
    b->done = b->found || is_over(b);
}
