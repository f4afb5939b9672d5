/* recorded.c: see recorded.h. */
#include "cmd/recorded.h"

#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LINE_BYTES_MAX = 1 << 20, PATH_BYTES_MAX = 4096, KEY_BYTES = 256 };

/* ---- one record ---- */

const json_t *recorded_find(const json_t *root, const char *path)
{
    char key[KEY_BYTES];
    while (root && *path) {
        size_t len = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        root =
            json_is_array(root) ? json_array_get(root, strtoul(key, NULL, 10)) : json_object_get(root, key);
        path += len + (path[len] == '.');
    }
    return root;
}

/* NULL when it isn't there, or null. */
static const json_t *find(const json_t *o, const char *path)
{
    const json_t *found = recorded_find(o, path);
    return json_is_null(found) ? NULL : found;
}

static const char *text(const json_t *o, const char *path)
{
    return json_string_value(find(o, path));
}

static const char *text_or_empty(const json_t *o, const char *path)
{
    const char *s = text(o, path);
    return s ? s : "";
}

static struct ip address(const json_t *o, const char *path)
{
    struct ip ip = {0};
    const char *s = text(o, path);
    if (s && !ip_parse(span_str(s), &ip))
        ip = (struct ip){0};
    return ip;
}

static const char *sha256_of(const json_t *o)
{
    size_t i;
    const json_t *hash;
    json_array_foreach(find(o, "actor.process.file.hashes"), i, hash)
    {
        if (json_integer_value(json_object_get(hash, "algorithm_id")) == 3)
            return json_string_value(json_object_get(hash, "value"));
    }
    return NULL;
}

static uint32_t borrowed_of(const json_t *o)
{
    static const char *const names[] = {
#define X(name, wire, doc) wire,
        AGENT_BORROWED(X)
#undef X
    };
    uint32_t set = 0;
    size_t i;
    const json_t *one;
    json_array_foreach(find(o, "unmapped.sender.borrowed"), i, one)
    {
        for (size_t n = 0; n < ARRAY_LEN(names); n++)
            if (json_is_string(one) && strcmp(json_string_value(one), names[n]) == 0)
                set |= 1u << n;
    }
    return set;
}

static enum agent_confidence confidence_of(const json_t *o)
{
    const char *word = text_or_empty(o, "unmapped.sender.confidence");
    for (enum agent_confidence c = 0; c < AGENT_CONFIDENCE_COUNT; c++)
        if (strcmp(word, agent_confidence_name(c)) == 0)
            return c;
    return AGENT_CONFIDENCE_UNKNOWN;
}

static struct sender_view sender_of(const json_t *o)
{
    const char *sha256 = sha256_of(o), *kind = text(o, "unmapped.sender.details.script_kind");
    return (struct sender_view){
        .confidence = confidence_of(o),
        .executable = text(o, "actor.process.file.path"),
        .package = text(o, "unmapped.sender.details.package.name"),
        .user = text(o, "actor.process.user.name"),
        .unit = text(o, "unmapped.sender.details.unit"),
        .script = text(o, "unmapped.sender.details.script"),
        .sha256 = sha256,
        .script_sha256 = text(o, "unmapped.sender.details.script_sha256"),
        .hash_state = sha256 ? SENDER_HASH_DONE : SENDER_HASH_PENDING,
        .interpreter = kind != NULL,
        .writable_by_user = !json_is_false(find(o, "unmapped.sender.details.writable_by_user")),
        .script_writable = !json_is_false(find(o, "unmapped.sender.details.script_writable_by_user")),
        .borrowed = borrowed_of(o),
    };
}

static void read_roles(const json_t *o, struct recorded *r)
{
    size_t i;
    const json_t *one;
    json_array_foreach(find(o, "unmapped.client_certificate.roles"), i, one)
    {
        if (r->role_count < RECORDED_ROLES_MAX && json_is_string(one))
            r->roles[r->role_count++] = span_str(json_string_value(one));
    }
}

static bool has_high_anomaly(const json_t *o)
{
    static const char *const high[] = {"H02", "H14", "H22", "H43"};
    size_t i;
    const json_t *one;
    json_array_foreach(find(o, "unmapped.anomalies"), i, one)
    {
        for (size_t n = 0; n < ARRAY_LEN(high); n++)
            if (json_is_string(one) && strcmp(json_string_value(one), high[n]) == 0)
                return true;
    }
    return false;
}

/* False: it is no record of an exchange that got as far as a destination. */
static bool read_record(const json_t *o, struct recorded *ret)
{
    const char *uid = text(o, "metadata.uid"), *name = text(o, "dst_endpoint.hostname"),
               *ip = text(o, "dst_endpoint.ip");
    int64_t class = json_integer_value(find(o, "class_uid")),
            port = json_integer_value(find(o, "dst_endpoint.port"));
    const char *where = name ? name : ip;
    if ((class != 4001 && class != 4002) || !uid || !where || port <= 0 || port > 65535 ||
        json_is_true(find(o, "unmapped.test")))
        return false;
    size_t len = strlen(uid);
    const json_t *beacon = find(o, "unmapped.beacon.score");
    *ret = (struct recorded){
        .kind = len > 2 && strcmp(uid + len - 2, ".c") == 0 ? RECORDED_CLOSE : RECORDED_DECISION,
        .json = o,
        .id = text_or_empty(o, "metadata.correlation_uid"),
        .on_host = text_or_empty(o, "device.hostname"),
        .stable = text_or_empty(o, "unmapped.sender.stable"),
        .sender = sender_of(o),
        .package_version = text(o, "unmapped.sender.details.package.version"),
        .proxy_user = text(o, "actor.user.name"),
        .port = (uint16_t)port,
        .client = address(o, "src_endpoint.ip"),
        .server = address(o, "dst_endpoint.ip"),
        .asn = (uint32_t)json_integer_value(find(o, "dst_endpoint.autonomous_system.number")),
        .blocked = json_integer_value(find(o, "action_id")) == 2,
        .completed = json_integer_value(find(o, "status_id")) == 1,
        .time_ms = json_integer_value(find(o, "time")),
        .bytes_out = json_integer_value(find(o, "traffic.bytes_out")),
        .beacon = beacon ? json_number_value(beacon) : 0,
        .has_anomalies = has_high_anomaly(o),
        .rules = json_array_size(find(o, "unmapped.rules")),
    };
    read_roles(o, ret);
    return host_canonical_bare(span_str(where), &ret->host) == HOST_OK;
}

const char *recorded_who(const struct recorded *r)
{
    return r->stable[0] ? r->stable : r->sender.executable ? r->sender.executable : "unknown sender";
}

/* ---- files ---- */

static int read_file(const char *path, recorded_fn *each, void *owner, struct recorded_stats *stats,
                     struct err *reterr)
{
    FILE *in = fopen(path, "re");
    char *line = in ? malloc(LINE_BYTES_MAX) : NULL;
    int result = 0;
    if (!line) {
        err_set(reterr, path, 0, 0, "can't be read: %s", strerror(errno));
        if (in)
            fclose(in);
        return -1;
    }
    while (result == 0 && fgets(line, LINE_BYTES_MAX, in)) {
        struct recorded r;
        json_t *o = json_loads(line, 0, NULL);
        stats->lines++;
        if (!json_is_object(o))
            stats->unreadable++;
        else if (read_record(o, &r))
            result = each(owner, &r);
        json_decref(o);
    }
    free(line);
    fclose(in);
    return result;
}

static int is_ledger(const struct dirent *e)
{
    return strstr(e->d_name, ".jsonl") != NULL;
}

int recorded_each(const char *path, recorded_fn *each, void *owner, struct recorded_stats *ret,
                  struct err *reterr)
{
    struct stat st;
    struct dirent **names;
    char file[PATH_BYTES_MAX];
    *ret = (struct recorded_stats){0};
    if (stat(path, &st) != 0)
        return err_set(reterr, path, 0, 0, "can't be read: %s", strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return read_file(path, each, owner, ret, reterr);
    int count = scandir(path, &names, is_ledger, alphasort), result = 0;
    if (count <= 0)
        return err_set(reterr, path, 0, 0, "there are no records (*.jsonl) here");
    for (int i = 0; i < count; i++) {
        if (result == 0 && snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) < (int)sizeof file)
            result = read_file(file, each, owner, ret, reterr);
        free(names[i]);
    }
    free(names);
    return result;
}
