/* users.c: the content of auth.password_file: lines `user:hash`. Called by conf_load(); touches the conf's arena only. */
#include "conf/option.h"

#include <stdlib.h>

enum { USERS_MAX = 100000, NAME_MAX_BYTES = 255 };

static int compare_users(const void *a, const void *b)
{
    return strcmp(((const struct conf_user *)a)->name, ((const struct conf_user *)b)->name);
}

/* crypt(5): "$id$...". "$apr1$" is Apache's own, which crypt(3) doesn't know; without '$' it is DES. */
static bool is_crypt_hash(struct span hash)
{
    for (size_t i = 0; i < hash.len; i++)
        if (hash.data[i] <= 0x20 || hash.data[i] >= 0x7f || strchr("*:;!\\", hash.data[i]))
            return false;
    return hash.len >= 10 && hash.len < 384 && hash.data[0] == '$' && memchr(hash.data + 1, '$', 5) &&
           memcmp(hash.data, "$apr1$", 6) != 0;
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

static int read_user(struct span line, const char *file, unsigned number, struct conf *conf,
                     struct err *reterr)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.data) : 0;
    struct span name = span_of(line.data, name_len), hash = span_from(line, name_len + 1);
    if (!colon || !is_name(name))
        return err_set(reterr, file, number, 1, "a line is user:hash");
    if (!is_crypt_hash(hash))
        return err_set(reterr, file, number, (unsigned)name_len + 2,
                       "not a crypt(5) hash: make one with mkpasswd");
    struct conf_user *u = &conf->users[conf->user_count];
    u->name = arena_strndup(conf->arena, (const char *)name.data, name.len);
    u->hash = arena_strndup(conf->arena, (const char *)hash.data, hash.len);
    if (!u->name || !u->hash)
        return err_set(reterr, file, number, 1, "too many users");
    conf->user_count++;
    return 0;
}

static size_t count_lines(struct span text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    return lines;
}

int users_read(struct span text, const char *name, struct conf *conf, struct err *reterr)
{
    size_t lines = count_lines(text);
    if (lines > USERS_MAX)
        return err_set(reterr, name, 0, 0, "more than %d lines", USERS_MAX);
    conf->users = arena_alloc(conf->arena, lines * sizeof *conf->users);
    if (!conf->users)
        return err_set(reterr, name, 0, 0, "too many users");
    unsigned number = 0;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        struct span line = span_of(text.data, end ? (size_t)(end - text.data) : text.len);
        text = span_from(text, line.len + 1);
        number++;
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (read_user(line, name, number, conf, reterr) != 0)
            return -1;
    }
    qsort(conf->users, conf->user_count, sizeof *conf->users, compare_users);
    for (size_t i = 1; i < conf->user_count; i++)
        if (strcmp(conf->users[i - 1].name, conf->users[i].name) == 0)
            return err_set(reterr, name, 0, 0, "user \"%s\" is there twice", conf->users[i].name);
    return 0;
}

const char *conf_find_user(const struct conf *conf, struct span name)
{
    size_t low = 0, high = conf->user_count;
    if (name.len == 0 || memchr(name.data, '\0', name.len))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *have = conf->users[middle].name;
        int order = strncmp(have, (const char *)name.data, name.len);
        if (order == 0 && have[name.len] == '\0')
            return conf->users[middle].hash;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
