/* member.h: members of JSON objects as the agent protocol reads them: absent and null are the same everywhere. The *_decode.c files of
 * this folder call in. Pure. */
#ifndef EXEAT_WIRE_MEMBER_H
#define EXEAT_WIRE_MEMBER_H

#include <jansson.h>

/* A view of the object's; NULL: absent, null, or `object` is none. */
const json_t *member_get(const json_t *object, const char *key);

/* Which of the names `value` is; -1: none of them, or no string. */
int member_index(const char *const *names, size_t count, const json_t *value);

#endif
