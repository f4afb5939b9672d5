/* sigma_text.h: Sigma's texts: wildcards and escapes, what the encoding modifiers make of them, and the expression that the matching
 * engine gets. Called by sigma_item. Pure: everything lives in the arena given.
 * Sigma specification 2.1, "String Wildcard", "Escape Character", and the appendix of modifiers. */
#ifndef EXEAT_RULES_SIGMA_TEXT_H
#define EXEAT_RULES_SIGMA_TEXT_H

#include "base/arena.h"
#include "rules/expr.h"

enum { SIGMA_TEXT_BYTES_MAX = 16384, SIGMA_DASHES_MAX = 4, SIGMA_CHOICES_MAX = 100 };

/* Bytes, and beyond them what is none. */
enum sigma_unit { SIGMA_ANY = 256, SIGMA_ONE, SIGMA_DASH };

struct sigma_text {
    uint16_t *units; /* view into the arena: bytes and enum sigma_unit */
    size_t count;
};

/* Several texts of which any may match: what one value has become. */
struct sigma_texts {
    struct sigma_text *items; /* view into the arena */
    size_t count;
};

/* 0, or -1: the arena's budget is spent, or longer than SIGMA_TEXT_BYTES_MAX. */
int sigma_text_read(struct arena *a, struct span text, struct sigma_text *ret);

/* Each works on all texts in place; 0, or -1 with *ret_why (lives for ever). */
int sigma_text_windash(struct arena *a, struct sigma_texts *texts, const char **ret_why);
int sigma_text_base64(struct arena *a, struct sigma_texts *texts, const char **ret_why);
int sigma_text_base64offset(struct arena *a, struct sigma_texts *texts, const char **ret_why);
/* UTF-16, little or big endian, with or without the byte order mark (of little endian). */
int sigma_text_utf16(struct arena *a, struct sigma_texts *texts, bool big, bool mark, const char **ret_why);

/* Sets pattern, literal, affix, flags and weight of *atom. 0, or -1 when the budget is spent. A `keyword` may stand anywhere in a value. */
int sigma_text_finish(struct arena *a, const struct sigma_text *text, enum affix affix, bool cased,
                      struct atom *atom);

#endif
