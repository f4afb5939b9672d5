/* member.c: see member.h. */
#include "wire/member.h"

#include <string.h>

const json_t *member_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

int member_index(const char *const *names, size_t count, const json_t *value)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -1;
}
