/* cgroup.c: see cgroup.h. Pure. */
#include "agent/linux/cgroup.h"

#include <stdio.h>

enum { CONTAINER_HEX = 64 };

/* The path of the unified hierarchy ("0::/path"), else of systemd's own ("1:name=systemd:/path"). */
static struct span find_path(struct span text)
{
    struct span named = {NULL, 0};
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        struct span line = span_of(text.data, end ? (size_t)(end - text.data) : text.len);
        text = span_from(text, line.len + 1);
        if (line.len > 3 && memcmp(line.data, "0::", 3) == 0 && line.len > 4)
            return span_from(line, 3);
        const uint8_t *systemd = memmem(line.data, line.len, ":name=systemd:", 14);
        if (systemd)
            named = span_from(line, (size_t)(systemd - line.data) + 14);
    }
    return named;
}

static bool ends_with(struct span s, const char *end)
{
    size_t len = strlen(end);
    return s.len > len && memcmp(s.data + s.len - len, end, len) == 0;
}

static bool is_unit(struct span component)
{
    return ends_with(component, ".service") || ends_with(component, ".scope");
}

/* A run of exactly 64 hex digits: how docker, podman, containerd and CRI-O name a container. */
static struct span container_id(struct span component)
{
    size_t run = 0;
    for (size_t i = 0; i <= component.len; i++) {
        bool hex = i < component.len && strchr("0123456789abcdef", component.data[i]) && component.data[i];
        if (!hex && run == CONTAINER_HEX)
            return span_of(component.data + i - run, run);
        run = hex ? run + 1 : 0;
    }
    static const char lxc[] = "lxc.payload.";
    size_t n = sizeof lxc - 1;
    if (component.len > n && memcmp(component.data, lxc, n) == 0)
        return span_from(component, n);
    return (struct span){NULL, 0};
}

static struct span next_component(struct span *path)
{
    while (path->len > 0 && path->data[0] == '/')
        *path = span_from(*path, 1);
    const uint8_t *slash = path->len ? memchr(path->data, '/', path->len) : NULL;
    struct span component = span_of(path->data, slash ? (size_t)(slash - path->data) : path->len);
    *path = span_from(*path, component.len);
    return component;
}

void cgroup_parse(struct span text, struct cgroup *ret)
{
    struct span path = find_path(text), first = {NULL, 0}, last = {NULL, 0}, container = {NULL, 0};
    *ret = (struct cgroup){.unit = ""};
    while (path.len > 0) {
        struct span component = next_component(&path);
        if (is_unit(component)) {
            first = first.len ? first : component;
            last = component;
        }
        container = container.len ? container : container_id(component);
    }
    bool user_manager = first.len > 5 && memcmp(first.data, "user@", 5) == 0 && last.data != first.data;
    if (first.len > 0)
        snprintf(ret->unit, sizeof ret->unit, "%.*s%s%.*s", (int)first.len, (const char *)first.data,
                 user_manager ? "/" : "", user_manager ? (int)last.len : 0,
                 user_manager ? (const char *)last.data : "");
    if (container.len > 0)
        snprintf(ret->container, sizeof ret->container, "%.*s", (int)container.len,
                 (const char *)container.data);
}
