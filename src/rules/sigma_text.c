/* sigma_text.c: see sigma_text.h. Pure. */
#include "rules/sigma_text.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdio.h>

static const char no_memory[] = "too large";

static bool text_init(struct arena *a, size_t room, struct sigma_text *ret)
{
    *ret = (struct sigma_text){.units = arena_alloc(a, (room ? room : 1) * sizeof *ret->units)};
    return ret->units != NULL;
}

int sigma_text_read(struct arena *a, struct span text, struct sigma_text *ret)
{
    struct sigma_text t;
    if (text.len > SIGMA_TEXT_BYTES_MAX || !text_init(a, text.len, &t))
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i], after = i + 1 < text.len ? text.data[i + 1] : 0;
        if (c == '\\' && (after == '*' || after == '?' || after == '\\'))
            t.units[t.count++] = text.data[++i];
        else
            t.units[t.count++] = c == '*' ? SIGMA_ANY : c == '?' ? SIGMA_ONE : c;
    }
    *ret = t;
    return 0;
}

/* ---- windash ---- */

static bool is_word(uint16_t unit)
{
    return unit < 256 && (unit >= 0x80 || unit == '_' || (unit >= '0' && unit <= '9') ||
                          (unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z'));
}

/* Units that make up a dash at `i`: 1, or 3 for U+2013, U+2014, U+2015; else 0. */
static size_t dash_len(const struct sigma_text *t, size_t i)
{
    if (t->units[i] == '-' || t->units[i] == '/')
        return 1;
    return i + 2 < t->count && t->units[i] == 0xe2 && t->units[i + 1] == 0x80 && t->units[i + 2] >= 0x93 &&
                   t->units[i + 2] <= 0x95
               ? 3
               : 0;
}

/* A dash counts where an option begins: nothing of a word before it, a word after it. */
static void mark_dashes(struct sigma_texts *texts)
{
    for (size_t n = 0; n < texts->count; n++) {
        struct sigma_text *t = &texts->items[n];
        size_t out = 0;
        bool after_word = false;
        for (size_t i = 0; i < t->count;) {
            size_t len = dash_len(t, i);
            if (len && !after_word && i + len < t->count && is_word(t->units[i + len])) {
                t->units[out++] = SIGMA_DASH;
                i += len;
                after_word = false;
            } else {
                after_word = is_word(t->units[i]);
                t->units[out++] = t->units[i++];
            }
        }
        t->count = out;
    }
}

static const char *const dashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};
enum { DASHES = 5 };

/* The text with its dashes chosen by the digits of `choice` in base 5. */
static bool choose_dashes(struct arena *a, const struct sigma_text *t, size_t choice, struct sigma_text *ret)
{
    if (!text_init(a, 3 * t->count, ret))
        return false;
    for (size_t i = 0; i < t->count; i++) {
        if (t->units[i] != SIGMA_DASH) {
            ret->units[ret->count++] = t->units[i];
            continue;
        }
        for (const char *d = dashes[choice % DASHES]; *d; d++)
            ret->units[ret->count++] = (uint8_t)*d;
        choice /= DASHES;
    }
    return true;
}

static size_t count_choices(const struct sigma_text *t)
{
    size_t choices = 1, found = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->units[i] == SIGMA_DASH && found++ <= SIGMA_DASHES_MAX)
            choices *= DASHES;
    return found <= SIGMA_DASHES_MAX ? choices : 0;
}

/* An encoding needs bytes: every text with windash's dashes becomes all that it stands for. */
static int expand_dashes(struct arena *a, struct sigma_texts *texts, const char **ret_why)
{
    struct sigma_texts out = {0};
    size_t total = 0;
    *ret_why = no_memory;
    for (size_t n = 0; n < texts->count; n++) {
        size_t choices = count_choices(&texts->items[n]);
        if (choices == 0)
            return *ret_why = "more than four dashes of windash before an encoding", -1;
        total += choices;
    }
    if (total == texts->count)
        return 0;
    out.items = arena_alloc(a, total * sizeof *out.items);
    if (!out.items)
        return -1;
    for (size_t n = 0; n < texts->count; n++)
        for (size_t choice = 0, choices = count_choices(&texts->items[n]); choice < choices; choice++)
            if (!choose_dashes(a, &texts->items[n], choice, &out.items[out.count++]))
                return -1;
    *texts = out;
    return 0;
}

/* Few dashes: all the texts at once, which are found faster than a choice in an expression. */
int sigma_text_windash(struct arena *a, struct sigma_texts *texts, const char **ret_why)
{
    size_t choices = 0;
    mark_dashes(texts);
    for (size_t n = 0; n < texts->count; n++) {
        size_t of_one = count_choices(&texts->items[n]);
        if (of_one == 0 || of_one > DASHES * DASHES)
            return 0;
        choices += of_one;
    }
    return choices > SIGMA_CHOICES_MAX ? 0 : expand_dashes(a, texts, ret_why);
}

/* ---- encodings ---- */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint16_t byte_at(const struct sigma_text *t, size_t i, size_t shift)
{
    return i < shift || i - shift >= t->count ? 0 : t->units[i - shift];
}

/* The Base64 digits [first, last) of `shift` unknown bytes followed by the text; '=' past what it determines. */
static bool encode(struct arena *a, const struct sigma_text *t, size_t shift, size_t first, size_t last,
                   struct sigma_text *ret)
{
    size_t bits = 8 * (shift + t->count);
    if (!text_init(a, last - first, ret))
        return false;
    for (size_t d = first; d < last; d++) {
        size_t bit = 6 * d, byte = bit / 8;
        unsigned both = (unsigned)byte_at(t, byte, shift) << 8 | byte_at(t, byte + 1, shift);
        ret->units[ret->count++] = bit >= bits ? '=' : (uint8_t)digits64[both >> (10 - bit % 8) & 63];
    }
    return true;
}

static bool is_plain(const struct sigma_texts *texts)
{
    for (size_t n = 0; n < texts->count; n++)
        for (size_t i = 0; i < texts->items[n].count; i++)
            if (texts->items[n].units[i] > 255)
                return false;
    return true;
}

static const char no_wildcards[] = "a text with wildcards can't be encoded in Base64";

int sigma_text_base64(struct arena *a, struct sigma_texts *texts, const char **ret_why)
{
    if (expand_dashes(a, texts, ret_why) != 0)
        return -1;
    if (!is_plain(texts))
        return *ret_why = no_wildcards, -1;
    for (size_t n = 0; n < texts->count; n++) {
        struct sigma_text t = texts->items[n];
        if (!encode(a, &t, 0, 0, (t.count + 2) / 3 * 4, &texts->items[n]))
            return *ret_why = no_memory, -1;
    }
    return 0;
}

int sigma_text_base64offset(struct arena *a, struct sigma_texts *texts, const char **ret_why)
{
    if (expand_dashes(a, texts, ret_why) != 0)
        return -1;
    if (!is_plain(texts))
        return *ret_why = no_wildcards, -1;
    struct sigma_texts out = {.items = arena_alloc(a, 3 * texts->count * sizeof *out.items)};
    if (!out.items)
        return *ret_why = no_memory, -1;
    for (size_t n = 0; n < texts->count; n++) {
        const struct sigma_text *t = &texts->items[n];
        for (size_t shift = 0; shift < 3; shift++) {
            /* only digits whose six bits all come from the text */
            size_t first = (8 * shift + 5) / 6, last = 8 * (shift + t->count) / 6;
            if (last <= first)
                return *ret_why = "too short for base64offset: some offset determines no digit", -1;
            if (!encode(a, t, shift, first, last, &out.items[out.count++]))
                return *ret_why = no_memory, -1;
        }
    }
    *texts = out;
    return 0;
}

/* One character of valid UTF-8 at `i`; *ret_len units of it. Wildcards stay as they are. */
static uint32_t decode(const struct sigma_text *t, size_t i, size_t *ret_len)
{
    uint16_t c = t->units[i];
    size_t len = c < 0xc0 || c > 255 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t value = len == 1 ? c : c & (0xffu >> (len + 1));
    *ret_len = 1;
    if (i + len > t->count)
        return c;
    for (size_t k = 1; k < len; k++)
        value = value << 6 | (t->units[i + k] & 0x3fu);
    *ret_len = len;
    return value;
}

static void put16(struct sigma_text *t, uint32_t value, bool big)
{
    t->units[t->count++] = (uint16_t)(big ? value >> 8 : value & 0xff);
    t->units[t->count++] = (uint16_t)(big ? value & 0xff : value >> 8);
}

int sigma_text_utf16(struct arena *a, struct sigma_texts *texts, bool big, bool mark, const char **ret_why)
{
    if (expand_dashes(a, texts, ret_why) != 0)
        return -1;
    for (size_t n = 0; n < texts->count; n++) {
        struct sigma_text t = texts->items[n], out;
        if (!text_init(a, 2 * t.count + 2, &out))
            return *ret_why = no_memory, -1;
        if (mark)
            put16(&out, 0xfeff, big);
        for (size_t i = 0, len; i < t.count; i += len) {
            uint32_t c = decode(&t, i, &len);
            if (t.units[i] > 255) {
                out.units[out.count++] = t.units[i];
            } else if (c >= 0x10000) {
                put16(&out, 0xd800 + ((c - 0x10000) >> 10), big);
                put16(&out, 0xdc00 + ((c - 0x10000) & 0x3ff), big);
            } else {
                put16(&out, c, big);
            }
        }
        texts->items[n] = out;
    }
    return 0;
}

/* ---- the expression ---- */

/* The bytes, and whether characters beyond ASCII that may have two cases are among them. */
static bool has_utf8(struct arena *a, const struct sigma_text *t, struct span *ret_bytes)
{
    bool high = false;
    uint8_t *bytes = arena_alloc(a, t->count + 1);
    for (size_t i = 0; bytes && i < t->count; i++) {
        bytes[i] = t->units[i] < 256 ? (uint8_t)t->units[i] : ' ';
        bool punctuation = i >= 1 && bytes[i - 1] == 0xe2 && bytes[i] == 0x80; /* U+2000..203F: the dashes */
        bool rest = i >= 2 && bytes[i - 2] == 0xe2 && bytes[i - 1] == 0x80;
        bool start = bytes[i] == 0xe2 && i + 2 < t->count && t->units[i + 1] == 0x80;
        high = high || (bytes[i] >= 0x80 && !punctuation && !rest && !start);
    }
    *ret_bytes = span_of(bytes, bytes ? t->count : 0);
    return high && bytes && utf8_valid(*ret_bytes);
}

static void put_literal(struct buf *b, uint16_t unit, bool utf8)
{
    char c = (char)unit;
    if (is_word(unit) && (unit < 0x80 || utf8))
        buf_append(b, &c, 1);
    else
        buf_printf(b, "\\x%02x", unit);
}

static void put_unit(struct buf *b, uint16_t unit, bool utf8)
{
    if (unit == SIGMA_ANY)
        buf_append_str(b, ".*");
    else if (unit == SIGMA_ONE)
        buf_append_str(b, ".");
    else if (unit == SIGMA_DASH)
        buf_append_str(b, utf8 ? "(?:-|/|\xe2\x80\x93|\xe2\x80\x94|\xe2\x80\x95)"
                               : "(?:-|/|\\xe2\\x80\\x93|\\xe2\\x80\\x94|\\xe2\\x80\\x95)");
    else
        put_literal(b, unit, utf8);
}

/* The longest run of bytes between wildcards decides how seldom it is found. */
static unsigned weigh(size_t longest)
{
    return longest >= 8 ? 1 : longest >= 4 ? 2 : longest >= 2 ? 8 : longest == 1 ? 32 : 64;
}

int sigma_text_finish(struct arena *a, const struct sigma_text *text, enum affix affix, bool cased,
                      struct atom *atom)
{
    size_t first = 0, last = text->count, run = 0, longest = 0;
    bool open_start = affix == AFFIX_ENDS || affix == AFFIX_CONTAINS,
         open_end = affix == AFFIX_STARTS || affix == AFFIX_CONTAINS, one = false, wild = false;
    for (; first < last && text->units[first] == SIGMA_ANY; first++)
        open_start = true;
    for (; last > first && text->units[last - 1] == SIGMA_ANY; last--)
        open_end = true;
    for (size_t i = first; i < last; i++) {
        one = one || text->units[i] == SIGMA_ONE;
        wild = wild || text->units[i] == SIGMA_ANY || text->units[i] == SIGMA_ONE;
        run = text->units[i] < 256 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    struct span bytes;
    const struct sigma_text core = {text->units + first, last - first};
    bool high = has_utf8(a, &core, &bytes), utf8 = one || high;
    bool dash = false;
    for (size_t i = first; i < last; i++)
        dash = dash || text->units[i] == SIGMA_DASH;
    struct buf b;
    buf_init(&b, 8 * SIGMA_TEXT_BYTES_MAX);
    buf_append_str(&b, open_start ? "" : "\\A");
    for (size_t i = first; i < last; i++) {
        bool star_again = text->units[i] == SIGMA_ANY && i > first && text->units[i - 1] == SIGMA_ANY;
        if (!star_again)
            put_unit(&b, text->units[i], utf8);
    }
    buf_append_str(&b, first == last && open_start && open_end ? ".*" : open_end ? "" : "\\z");
    atom->kind = ATOM_PATTERN;
    atom->pattern = b.failed ? NULL : arena_strndup(a, (const char *)buf_span(&b).data, buf_len(&b));
    atom->flags = PATTERN_DOTALL | (cased ? 0u : PATTERN_CASELESS) | (utf8 ? PATTERN_UTF8 : 0u) |
                  (wild ? PATTERN_COSTLY : 0u);
    atom->weight = weigh(longest);
    if (!wild && !dash && !(high && !cased) && last > first && bytes.data) {
        atom->literal = bytes;
        atom->flags &= ~(unsigned)PATTERN_UTF8;
        atom->affix = open_start && open_end ? AFFIX_CONTAINS
                      : open_start           ? AFFIX_ENDS
                      : open_end             ? AFFIX_STARTS
                                             : AFFIX_NONE;
    }
    buf_free(&b);
    return atom->pattern ? 0 : -1;
}
