/* describe.c: see describe.h. Untested on a Mac: type-checked and linked only. */
#include "agent/macos/describe.h"

#include "agent/crypto_names.h"
#include "agent/macos/declarations.h"
#include "agent/macos/jobs.h"
#include "agent/script.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOB_HEADER_BYTES = 8, BLOB_BYTES = 512, REGIONS_MAX = 20000 };

static bool read_process(int pid, struct mac_process *ret)
{
    return proc_pidinfo(pid, MAC_PIDTBSDINFO, 0, ret, sizeof *ret) == (int)sizeof *ret;
}

uint64_t describe_execution(int pid)
{
    struct mac_unique unique;
    if (proc_pidinfo(pid, MAC_PIDUNIQIDENTIFIERINFO, 0, &unique, sizeof unique) != (int)sizeof unique)
        return 0;
    return unique.id << 32 ^ (uint32_t)unique.version; /* the version counts executions */
}

static const char *path_of(int pid, struct arena *arena)
{
    char path[MAC_PATH_BYTES];
    int len = proc_pidpath(pid, path, sizeof path);
    return len > 0 && len < (int)sizeof path ? arena_strndup(arena, path, (size_t)len) : NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* A blob's text: behind its type and length. */
static bool read_blob(int pid, unsigned operation, char out[BLOB_BYTES])
{
    char blob[BLOB_BYTES] = {0};
    if (csops(pid, operation, blob, sizeof blob - 1) != 0 || !blob[BLOB_HEADER_BYTES])
        return false;
    memcpy(out, blob + BLOB_HEADER_BYTES, sizeof blob - BLOB_HEADER_BYTES);
    return !strchr(out, '/');
}

/* An identifier without a team is the word of whoever built the program, unless it is the system's own. */
static void describe_signature(int pid, struct sender *s)
{
    uint32_t status = 0;
    char team[BLOB_BYTES], identity[BLOB_BYTES], signer[2 * BLOB_BYTES];
    if (csops(pid, MAC_CS_STATUS, &status, sizeof status) != 0 || !read_blob(pid, MAC_CS_IDENTITY, identity))
        return;
    bool is_apples = (status & MAC_CS_PLATFORM_BINARY) != 0;
    if (!is_apples && !read_blob(pid, MAC_CS_TEAMID, team))
        return;
    snprintf(signer, sizeof signer, "%s/%s", is_apples ? "apple" : team, identity);
    s->who.signer = arena_strdup(&s->arena, signer);
    s->who.signature_valid = s->who.signer && (status & MAC_CS_VALID) && !(status & MAC_CS_DEBUGGED);
}

static void describe_responsible(int pid, struct sender *s)
{
    int responsible = responsibility_get_pid_responsible_for_pid(pid);
    if (responsible <= 0 || responsible == pid)
        return;
    s->who.responsible_pid = responsible;
    s->who.responsible_path = path_of(responsible, &s->arena);
}

/* Up to launchd; the nearest one that is a job's first process names the unit. */
static void describe_parents(int pid, int parent, struct sender *s)
{
    struct mac_process info;
    s->parents = arena_alloc(&s->arena, AGENT_PARENTS_MAX * sizeof *s->parents);
    s->unit = jobs_of(pid, &s->arena);
    for (; s->parents && parent > 0 && s->parent_count < AGENT_PARENTS_MAX && read_process(parent, &info);
         parent = (int)info.parent) {
        struct sender_parent *p = &s->parents[s->parent_count++];
        *p = (struct sender_parent){
            .pid = parent, .executable = path_of(parent, &s->arena), .writable_by_user = -1};
        p->name = last_part(p->executable);
        if (!s->unit && parent != 1)
            s->unit = jobs_of(parent, &s->arena);
        if (parent == 1)
            break;
    }
    s->provenance[SENDER_FIELD_PARENTS] = s->provenance[SENDER_FIELD_UNIT] = AGENT_PROVENANCE_KERNEL;
}

static void describe_executable(int pid, struct process *p)
{
    struct sender *s = p->sender;
    s->executable = path_of(pid, &s->arena);
    s->name = last_part(s->executable);
    int fd = s->executable ? open(s->executable, O_RDONLY | O_CLOEXEC) : -1;
    s->hash_state =
        fd >= 0 && platform_file_key(fd, &p->executable) ? SENDER_HASH_PENDING : SENDER_HASH_FAILED;
    if (fd >= 0)
        close(fd);
    s->provenance[SENDER_FIELD_EXECUTABLE] =
        s->executable ? AGENT_PROVENANCE_KERNEL : AGENT_PROVENANCE_DENIED;
    const char *script;
    if (s->executable) /* its arguments are not read here: an interpreter's script cannot be told */
        s->script_kind = script_find(s->executable, NULL, 0, &script) == SENDER_SCRIPT_NONE
                             ? SENDER_SCRIPT_NONE
                             : SENDER_SCRIPT_UNCLEAR;
}

struct process *describe_process(int pid, uint64_t serial)
{
    struct mac_process info;
    char ref[AGENT_REF_BYTES];
    struct process *p = read_process(pid, &info) ? calloc(1, sizeof *p) : NULL;
    struct sender *s = p ? sender_new() : NULL;
    if (!s) {
        free(p);
        return NULL;
    }
    *p = (struct process){.refs = 1, .serial = serial, .revision = 1, .sender = s};
    snprintf(ref, sizeof ref, "%d.%llu.%llu", pid, (unsigned long long)info.start_s,
             (unsigned long long)serial);
    s->ref = arena_strdup(&s->arena, ref);
    s->pid = pid;
    s->start_ms = (int64_t)(info.start_s * 1000 + info.start_us / 1000);
    s->start_ticks = s->start_ms;
    s->uid = info.ruid;
    const struct passwd *user = getpwuid(info.ruid);
    s->user = user ? arena_strdup(&s->arena, user->pw_name) : NULL;
    s->provenance[SENDER_FIELD_USER] = AGENT_PROVENANCE_KERNEL;
    describe_executable(pid, p);
    describe_signature(pid, s);
    describe_responsible(pid, s);
    describe_parents(pid, (int)info.parent, s);
    if (s->ref)
        return p;
    process_unref(p);
    return NULL;
}

void process_unref(struct process *process)
{
    if (--process->refs > 0)
        return;
    sender_unref(process->sender);
    free(process);
}

/* ---- libraries ---- */

static void add(struct agent_history *h, enum agent_history_kind kind, const char *family, const char *path,
                int pid)
{
    for (size_t i = 0; i < h->row_count; i++)
        if (h->rows[i].kind == kind && strcmp(h->rows[i].class_name, family) == 0)
            return;
    if (h->row_count < AGENT_HISTORY_ROWS_MAX)
        h->rows[h->row_count++] = (struct agent_history_row){.kind = kind,
                                                             .class_name = family,
                                                             .path = path,
                                                             .count = 1,
                                                             .at_least = true,
                                                             .pid = pid,
                                                             .bytes = -1};
}

void describe_libraries(int pid, struct arena *arena, struct agent_history *ret)
{
    struct mac_region region;
    uint64_t address = 0;
    for (int i = 0; i < REGIONS_MAX && proc_pidinfo(pid, MAC_PIDREGIONPATHINFO, address, &region,
                                                    sizeof region) == (int)sizeof region;
         i++) {
        uint64_t next = region.address + region.size;
        if (next <= address)
            return;
        address = next;
        region.path[sizeof region.path - 1] = '\0';
        struct crypto_name name = crypto_name_of(region.path);
        const char *path = name.family ? arena_strdup(arena, region.path) : NULL;
        if (path && name.is_tls)
            add(ret, AGENT_HISTORY_TLS_LIBRARY, name.family, path, pid);
        if (path && name.is_cipher)
            add(ret, AGENT_HISTORY_CRYPTO_LIBRARY, name.family, path, pid);
    }
}
