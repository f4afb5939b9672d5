/* siphash.c: see siphash.h. Pure. */
#include "base/siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t load(const uint8_t *bytes, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void store(uint64_t word, uint8_t *ret)
{
    for (size_t i = 0; i < 8; i++)
        ret[i] = (uint8_t)(word >> (8 * i));
}

static void mix(struct state *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s, 2);
    s->v0 ^= word;
}

void siphash(const uint8_t key[SIPHASH_KEY_BYTES], struct span bytes, uint8_t ret[SIPHASH_BYTES])
{
    uint64_t k0 = load(key, 8), k1 = load(key + 8, 8);
    struct state s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee, k0 ^ 0x6c7967656e657261u,
                      k1 ^ 0x7465646279746573u};
    size_t whole = bytes.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        absorb(&s, load(bytes.data + i, 8));
    uint64_t rest = bytes.len > whole ? load(bytes.data + whole, bytes.len - whole) : 0;
    absorb(&s, rest | (uint64_t)bytes.len << 56);
    s.v2 ^= 0xee;
    mix(&s, 4);
    store(s.v0 ^ s.v1 ^ s.v2 ^ s.v3, ret);
    s.v1 ^= 0xdd;
    mix(&s, 4);
    store(s.v0 ^ s.v1 ^ s.v2 ^ s.v3, ret + 8);
}
