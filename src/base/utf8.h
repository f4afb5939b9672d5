/* utf8.h: is this UTF-8? For bytes a peer chose that go into text of ours. Pure. */
#ifndef EXEAT_BASE_UTF8_H
#define EXEAT_BASE_UTF8_H

#include "base/span.h"

/* RFC 3629: no overlong forms, no surrogates, at most U+10FFFF. Empty is valid. */
bool utf8_valid(struct span text);

#endif
