/* observer.c: see observer.h. What happened first is taken first: forks and executions before files, so that a process that did
 * something is known. A question takes in what is waiting, up to a bound: what came before a connection is told with it. */
#include "agent/linux/observer.h"

#include "agent/archive.h"
#include "agent/frozen.h"
#include "agent/history.h"
#include "agent/linux/connector.h"
#include "agent/linux/describe.h"
#include "agent/linux/exec.h"
#include "agent/linux/files.h"
#include "agent/linux/foreign.h"
#include "agent/linux/keys.h"
#include "agent/linux/libraries.h"
#include "agent/linux/scans.h"
#include "agent/script.h"
#include "agent/usage.h"
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORDS_A_TURN = 512,
    LEARN_TURNS = 32,
    FILES_A_TURN = 32,
    NOTES_A_TURN = 512,
    LOOKS_MAX = 8,
    FOUND_MAX = 64,
    FOUND_A_TURN = 4,
    AGE_EVERY_MS = 10000,
    SAVE_EVERY_MS = 300000,
    PATH_BYTES = 512,
    FILES_OF_MAX = 1024,
    CONNECTED_MAX = 1024,
    COUNTED_MAX = 4096,
    SCRIPT_ARENA_BYTES = 65536
};

/* A process' file, as it was executed, and whether that file's programs connected to the proxy before. */
struct program_file {
    struct history_id id;
    uint64_t device, inode;
    char path[256]; /* "": too long to be kept */
};

struct observer {
    struct history *history; /* owned, like all that follow here */
    struct frozen *frozen;
    struct exec_watch *execs;    /* NULL: why_no_execs says why, like the others */
    struct connector *connector; /* all of it without `execs`, else of new sessions alone */
    uint64_t unseen;             /* executions by the connector that were over before a look */
    struct file_watch *files;
    pthread_mutex_t lock; /* of what the walk found */
    struct found {
        int64_t pid;
        uint64_t mounts;
        char path[256];
    } found[FOUND_MAX];
    size_t found_count;
    struct library_watch *libraries;
    struct key_watch *keys;
    struct scans *scans;
    struct foreign *foreign;
    struct usage *usage;
    char why_no_execs[EXEC_WHY_BYTES], why_no_files[FILES_WHY_BYTES], why_no_libraries[LIBRARIES_WHY_BYTES];
    char why_no_keys[KEYS_WHY_BYTES]; /* "": nobody asked for them */
    char usage_path[PATH_BYTES];      /* "": not kept */
    int64_t looks[LOOKS_MAX];         /* processes whose mappings are to be looked at */
    size_t look_count;
    struct program_file files_of[FILES_OF_MAX],
        connected[CONNECTED_MAX];  /* by pid, by inode: the latest of a place */
    uint64_t counted[COUNTED_MAX]; /* cookies of connections; the latest of a place */
    int64_t begun_ticks, saved_ms;
    bool usage_changed;
    int epollfd; /* owned */
    int procfd;  /* borrowed */
    int64_t aged_ms;
    _Atomic uint64_t *turns; /* borrowed; NULL: nobody looks */
    uint64_t restarts;       /* each lost what was not remembered yet */
    uint64_t lost_said;
};

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- counts that outlive us ---- */

static void load_usage(struct observer *o)
{
    struct stat st;
    int fd = o->usage_path[0] ? open(o->usage_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0)
        return;
    char *text = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= USAGE_TEXT_BYTES
                     ? malloc((size_t)st.st_size)
                     : NULL;
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n > 0)
        log_info("history", "%zu programs were known before", usage_read(o->usage, span_of(text, (size_t)n)));
    free(text);
    close(fd);
}

/* The whole file anew, then a rename. */
static void save_usage(struct observer *o)
{
    struct buf out;
    char path[PATH_BYTES + 8];
    o->usage_changed = false;
    if (!o->usage_path[0])
        return;
    buf_init(&out, USAGE_TEXT_BYTES);
    snprintf(path, sizeof path, "%s.new", o->usage_path);
    int fd = usage_write(o->usage, &out) == 0
                 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)
                 : -1;
    struct span text = buf_span(&out);
    bool written = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len;
    if (fd >= 0)
        close(fd);
    if (!written || rename(path, o->usage_path) != 0)
        log_warning("history", "how often programs run cannot be kept in %s", o->usage_path);
    buf_free(&out);
}

/* ---- begin and end ---- */

/* Without it and with BPF a new session is noticed when the process executes something. */
static void follow_by_connector(struct observer *o)
{
    char why[CONNECTOR_WHY_BYTES] = "";
    o->connector = connector_new(o->execs != NULL, why);
    if (!o->execs && o->connector)
        snprintf(o->why_no_execs, sizeof o->why_no_execs,
                 "history: without BPF processes are followed by the connector: those that end at once can "
                 "be missed");
    else if (!o->connector)
        log_info("history", "new sessions are noticed late: %s", why);
}

struct observer *observer_new(const struct history_options *options)
{
    struct observer *o = calloc(1, sizeof *o);
    struct globs *globs = calloc(1, sizeof *globs);
    if (o) {
        o->epollfd = o->procfd = -1;
        pthread_mutex_init(&o->lock, NULL);
        o->history = history_new(options->depth, (int64_t)options->window_s * 1000);
        o->frozen = frozen_new();
        o->scans = scans_new();
        o->foreign = foreign_new("/var/lib/dpkg");
        o->usage = usage_new();
        o->restarts = options->restarts;
        o->turns = options->turns;
    }
    if (!globs || !o || !o->history || !o->frozen || !o->scans || !o->foreign || !o->usage) {
        free(globs);
        observer_free(o);
        return NULL;
    }
    if (options->state_folder)
        snprintf(o->usage_path, sizeof o->usage_path, "%s/usage", options->state_folder);
    if (!options->no_default_watches)
        globs_add_defaults(globs);
    for (size_t i = 0; i < options->watch_count; i++)
        globs_add_text(globs, options->watches[i]);
    if (options->no_bpf)
        snprintf(o->why_no_execs, sizeof o->why_no_execs,
                 "history: processes are not followed: told to go without BPF");
    else
        o->execs = exec_watch_new(o->why_no_execs);
    o->files = file_watch_new(globs, o->why_no_files);
    o->libraries = library_watch_new(o->why_no_libraries);
    if (options->keys != HISTORY_KEYS_OFF && !options->no_bpf)
        o->keys = key_watch_new(options->keys, o->why_no_keys);
    follow_by_connector(o);
    free(globs);
    return o;
}

void observer_free(struct observer *o)
{
    if (!o)
        return;
    if (o->usage && o->usage_changed)
        save_usage(o);
    usage_free(o->usage);
    scans_free(o->scans);
    foreign_free(o->foreign);
    library_watch_free(o->libraries);
    key_watch_free(o->keys);
    frozen_free(o->frozen);
    history_free(o->history);
    exec_watch_free(o->execs);
    file_watch_free(o->files);
    connector_free(o->connector);
    if (o->epollfd >= 0)
        close(o->epollfd);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static void poll_fd(const struct observer *o, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    if (epoll_ctl(o->epollfd, EPOLL_CTL_ADD, fd, &e) != 0)
        log_warning("history", "a source cannot be waited for: it is looked at every second");
}

static void note_archiver(struct observer *o, const struct executed *e)
{
    struct history_seen seen = {.kind = AGENT_HISTORY_EXEC_ARCHIVER,
                                .class_name = archiver_kind(e->path, e->arguments),
                                .path = e->path,
                                .bytes = -1};
    if (seen.class_name)
        history_see(o->history, e->id.pid, &seen, e->now_ms);
}

static struct program_file *connected_place(struct observer *o, uint64_t inode)
{
    return &o->connected[inode % CONNECTED_MAX];
}

/* With --keys seen: programs that connected before are watched from their beginning. */
static void watch_keys(struct observer *o, const struct executed *e)
{
    const struct program_file *c = connected_place(o, e->inode);
    struct program_file *f = &o->files_of[(uint64_t)e->id.pid % FILES_OF_MAX];
    *f = (struct program_file){.id = e->id, .device = e->device, .inode = e->inode};
    if (strlen(e->path) < sizeof f->path)
        memcpy(f->path, e->path, strlen(e->path) + 1);
    if (o->keys && c->inode == e->inode && c->device == e->device)
        key_watch_process(o->keys, e->id.pid);
}

/* The script that an interpreter was started with, as one path; NULL: none, or it cannot be told. The caller's to free. */
static char *find_script(const struct observer *o, const struct executed *e)
{
    const char *const *argv = NULL, *script = NULL;
    char cwd[AGENT_PATH_BYTES] = "", joined[AGENT_PATH_BYTES * 2];
    bool truncated;
    struct arena arena;
    arena_init(&arena, SCRIPT_ARENA_BYTES);
    size_t argc =
        arguments_split(&arena, (const char *)e->arguments.data, e->arguments.len, &argv, &truncated);
    bool is_file = argc > 0 && script_find(e->path, argv, argc, &script) == SENDER_SCRIPT_FILE;
    if (is_file && script[0] != '/') {
        int dirfd = proc_open_pid(o->procfd, e->id.pid);
        is_file = dirfd >= 0 && proc_link_at(dirfd, "cwd", cwd, sizeof cwd) > 0;
        if (dirfd >= 0)
            close(dirfd);
    }
    if (is_file)
        snprintf(joined, sizeof joined, "%s%s%s", cwd, cwd[0] ? "/" : "", script);
    arena_reset(&arena);
    return is_file ? realpath(joined, NULL) : NULL;
}

static void count_execution(struct observer *o, const struct executed *e)
{
    char name[USAGE_PATH_BYTES];
    char *script = find_script(o, e);
    if (usage_name(e->path, script, name))
        usage_execute(o->usage, name, wall_ms());
    free(script);
    o->usage_changed = true;
}

static void on_executed(void *context, const struct executed *e)
{
    struct observer *o = context;
    if (o->files)
        roots_note(file_watch_roots(o->files), e->id.pid, &e->place);
    watch_keys(o, e);
    foreign_forget(o->foreign, e->id.pid); /* what was mapped is not any more */
    note_archiver(o, e);
    scans_ask(o->scans, o->history, e);
    count_execution(o, e);
}

/* Which program loaded it: as it was executed, else as it runs now. */
static void on_tls_library(void *context, const struct history_id *who, const struct history_seen *seen)
{
    struct observer *o = context;
    const struct program_file *f = &o->files_of[(uint64_t)who->pid % FILES_OF_MAX];
    struct foreign_load load = {.who = *who, .library = seen->path, .family = seen->class_name};
    if (f->id.pid == who->pid && f->id.start_ticks == who->start_ticks && f->path[0]) {
        load.executable = f->path;
        load.device = f->device;
        load.inode = f->inode;
    }
    foreign_take(o->foreign, o->history, o->procfd, &load);
}

static int64_t ticks_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (t.tv_sec * 1000 + t.tv_nsec / 1000000) * sysconf(_SC_CLK_TCK) / 1000;
}

static void on_connector(void *context, const struct connector_event *e);

/* It may be gone by now, and have begun since the ring was looked at: what the ring says of it comes first. */
static void learn(void *context, int64_t pid)
{
    struct observer *o = context;
    for (unsigned i = 0; o->execs && i < LEARN_TURNS && exec_watch_turn(o->execs, RECORDS_A_TURN); i++)
        ;
    if (o->connector && !o->execs)
        connector_turn(o->connector, RECORDS_A_TURN, on_connector, o);
    if (!history_knows(o->history, pid))
        exec_learn(o->history, o->procfd, pid);
}

void observer_begin(struct observer *o, int procfd)
{
    o->procfd = procfd;
    o->epollfd = epoll_create1(EPOLL_CLOEXEC);
    o->begun_ticks = ticks_now();
    load_usage(o);
    history_learn_by(o->history, learn, o);
    history_listen(o->history, AGENT_HISTORY_TLS_LIBRARY, on_tls_library, o);
    if (o->execs) {
        exec_watch_begin(o->execs, o->history, on_executed, o);
        poll_fd(o, exec_watch_fd(o->execs));
    } else {
        exec_learn_all(o->history, procfd);
        if (!o->connector)
            history_cannot_see(o->history, AGENT_HISTORY_EXEC_ARCHIVER);
    }
    if (o->connector)
        poll_fd(o, connector_fd(o->connector));
    if (o->files) {
        int fds[FILES_FDS];
        file_watch_fds(o->files, fds);
        for (size_t i = 0; i < FILES_FDS; i++)
            poll_fd(o, fds[i]);
    } else {
        history_cannot_see(o->history, AGENT_HISTORY_ARCHIVE_WRITTEN);
        history_cannot_see(o->history, AGENT_HISTORY_SENSITIVE_ACCESS);
    }
    for (size_t i = 0; o->libraries && i < library_watch_fd_count(o->libraries); i++)
        poll_fd(o, library_watch_fd(o->libraries, i));
    if (o->keys) {
        poll_fd(o, key_watch_fd(o->keys));
    } else {
        history_cannot_see(o->history, AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS);
        history_cannot_see(o->history, AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS);
    }
}

unsigned observer_not_observable(const struct observer *o)
{
    return history_not_observable(o->history);
}

size_t observer_degraded(const struct observer *o, const char *ret[OBSERVER_SENTENCES_MAX])
{
    size_t count = 0;
    if (!o->execs)
        ret[count++] = o->why_no_execs;
    if (o->why_no_files[0])
        ret[count++] = o->why_no_files;
    if (!o->libraries)
        ret[count++] = o->why_no_libraries;
    if (o->why_no_keys[0])
        ret[count++] = o->why_no_keys;
    return count;
}

/* ---- turns ---- */

static uint64_t events_lost(const struct observer *o)
{
    return o->restarts + o->unseen + (o->execs ? exec_watch_lost(o->execs) : 0) +
           (o->connector ? connector_lost(o->connector) : 0) +
           (o->libraries ? library_watch_lost(o->libraries) : 0) + (o->keys ? key_watch_lost(o->keys) : 0);
}

static void say_losses(struct observer *o)
{
    uint64_t events = events_lost(o), files = o->files ? file_watch_lost(o->files) : 0;
    history_lose(o->history, events, files);
    if (events + files <= o->lost_said)
        return;
    log_warning("history", "missed so far: %llu events of processes, %llu times some of files",
                (unsigned long long)events, (unsigned long long)files);
    o->lost_said = (events + files) * 2; /* not for each of a flood */
}

void observer_losses(struct observer *o, struct agent_losses *ret)
{
    say_losses(o);
    history_losses(o->history, ret);
}

/* By what /proc says of it, if it is still there. */
static void on_executed_now(struct observer *o, int64_t pid)
{
    struct executed e;
    char path[EXEC_PATH_BYTES], arguments[EXEC_ARGUMENTS_BYTES];
    exec_learn(o->history, o->procfd, pid);
    if (exec_look(o->procfd, pid, &e, path, arguments))
        on_executed(o, &e);
    else
        o->unseen++;
}

static void on_connector(void *context, const struct connector_event *e)
{
    struct observer *o = context;
    struct history_id id;
    if (e->what == CONNECTOR_SESSION) {
        if (!history_knows(o->history, e->pid))
            learn(o, e->pid);
        history_lead(o->history, e->pid);
    } else if (o->execs) {
        return;
    } else if (e->what == CONNECTOR_EXEC) {
        on_executed_now(o, e->pid);
    } else if (e->what == CONNECTOR_EXIT && history_latest(o->history, e->pid, &id)) {
        history_end(o->history, &id, exec_now_ms());
    } else if (e->what == CONNECTOR_FORK) {
        exec_learn(o->history, o->procfd, e->pid);
        if (!history_knows(o->history, e->pid))
            history_fork(o->history, e->parent, e->pid, exec_now_ms());
    }
}

static void take_some(struct observer *o)
{
    if (o->execs)
        exec_watch_turn(o->execs, RECORDS_A_TURN);
    if (o->connector)
        connector_turn(o->connector, RECORDS_A_TURN, on_connector, o);
    if (o->libraries)
        library_watch_turn(o->libraries, o->history, NOTES_A_TURN);
    if (o->keys)
        key_watch_turn(o->keys, o->history, NOTES_A_TURN);
    if (o->files)
        file_watch_turn(o->files, o->history, FILES_A_TURN);
}

int observer_fd(const struct observer *o)
{
    return o->epollfd;
}

/* Before what waits is taken in: who finds nothing waiting and no turn begun has missed nothing. */
static void begin_turn(struct observer *o)
{
    if (o->turns)
        atomic_fetch_add(o->turns, 1);
}

/* ---- libraries of containers ---- */

struct look_for {
    struct observer *observer;
    const struct rooted *root;
};

static void on_library(void *context, int fd, const char *path)
{
    struct look_for *l = context;
    struct observer *o = l->observer;
    (void)fd;
    pthread_mutex_lock(&o->lock);
    if (o->found_count < FOUND_MAX && strlen(path) < sizeof o->found[0].path) {
        struct found *f = &o->found[o->found_count++];
        f->pid = l->root->pid;
        f->mounts = l->root->mounts;
        memcpy(f->path, path, strlen(path) + 1);
    }
    pthread_mutex_unlock(&o->lock);
}

static void on_pattern(void *context, const char *pattern)
{
    struct look_for *l = context;
    rooted_glob(l->root, pattern, on_library, l);
}

/* On the walk's thread. */
static void on_root(void *context, const struct rooted *root)
{
    struct look_for l = {context, root};
    if (l.observer->keys)
        key_library_patterns(on_pattern, &l);
}

static bool has_processes(void *context, uint64_t mounts)
{
    const struct observer *o = context;
    return roots_has(file_watch_roots(o->files), mounts);
}

static void watch_found(struct observer *o)
{
    struct found f;
    bool any = true;
    for (int i = 0; any && i < FOUND_A_TURN; i++) {
        pthread_mutex_lock(&o->lock);
        any = o->found_count > 0;
        if (any)
            f = o->found[--o->found_count];
        pthread_mutex_unlock(&o->lock);
        if (any)
            key_watch_add(o->keys, f.pid, f.mounts, f.path);
    }
    key_watch_forget(o->keys, has_processes, o);
}

void observer_turn(struct observer *o)
{
    int64_t now_ms = exec_now_ms();
    begin_turn(o);
    take_some(o);
    if (o->keys && o->files)
        watch_found(o);
    if (o->look_count > 0)
        library_look(o->history, o->procfd, o->looks[--o->look_count]);
    if (o->usage_changed && now_ms - o->saved_ms > SAVE_EVERY_MS) {
        o->saved_ms = now_ms;
        save_usage(o);
    }
    if (now_ms - o->aged_ms < AGE_EVERY_MS)
        return;
    o->aged_ms = now_ms;
    frozen_turn(o->frozen, o->history, now_ms);
    history_age(o->history, now_ms);
    say_losses(o);
}

void observer_walk(struct observer *o)
{
    if (o->files)
        file_watch_walk(o->files, on_root, o);
}

bool observer_wants_walk(struct observer *o)
{
    return o->files && file_watch_wants_walk(o->files);
}

bool observer_scan_next(struct observer *o, struct history_scan *ret)
{
    return scans_next(o->scans, o->history, ret) || foreign_next(o->foreign, o->history, ret);
}

void observer_scan(const struct observer *o, struct history_scan *job)
{
    if (job->library[0])
        foreign_judge(o->foreign, job);
    else
        library_scan(o->procfd, job);
}

void observer_scan_done(struct observer *o, const struct history_scan *job)
{
    begin_turn(o);
    if (job->library[0]) {
        foreign_done(o->foreign, o->history, job);
        return;
    }
    scans_done(o->scans, o->history, job);
    if (o->execs)
        exec_watch_say(o->execs, job->device, job->inode, EXEC_SAID_KNOWN);
}

/* ---- questions ---- */

/* What was loaded before we watched is looked for, after the answer. */
static void look_later(struct observer *o, const struct history_id *id)
{
    bool watched = o->libraries && id->start_ticks >= o->begun_ticks;
    if (!watched && o->look_count < LOOKS_MAX)
        o->looks[o->look_count++] = id->pid;
}

/* From here on its keys are watched, and its program's from their beginning. */
static void watch_keys_of(struct observer *o, const struct history_id *id)
{
    const struct program_file *f = &o->files_of[(uint64_t)id->pid % FILES_OF_MAX];
    if (!o->keys)
        return;
    key_watch_process(o->keys, id->pid);
    if (!o->execs || f->id.pid != id->pid || f->id.start_ticks != id->start_ticks)
        return;
    *connected_place(o, f->inode) = *f;
    exec_watch_say(o->execs, f->device, f->inode, EXEC_SAID_URGENT);
}

/* A connection is asked about several times: in full, to be watched, for its later requests. */
static bool is_new_connection(struct observer *o, uint64_t accepted_cookie)
{
    uint64_t *place = &o->counted[accepted_cookie % COUNTED_MAX];
    bool fresh = accepted_cookie == 0 || *place != accepted_cookie;
    *place = accepted_cookie;
    return fresh;
}

static void count_connection(struct observer *o, const struct history_id *id, const struct sender *s,
                             int64_t peer_uid)
{
    bool first = history_connect(o->history, id, peer_uid);
    if (first) {
        look_later(o, id);
        watch_keys_of(o, id);
    }
    char name[USAGE_PATH_BYTES];
    if (!s->executable || !usage_name(s->executable, s->script, name))
        return;
    usage_connect(o->usage, name, first, wall_ms());
    o->usage_changed = true;
}

bool observer_ask(struct observer *o, const struct sender *s, const struct attribution *a,
                  struct agent_history *ret)
{
    struct history_id id = {s->pid, s->start_ticks};
    struct epoll_event some;
    if (epoll_wait(o->epollfd, &some, 1, 0) != 0)
        begin_turn(o);
    take_some(o);
    if (!history_knows(o->history, id.pid))
        learn(o, id.pid);
    say_losses(o);
    bool watched = o->libraries && id.start_ticks >= o->begun_ticks;
    history_ask(o->history, &id, exec_now_ms(), ret);
    foreign_ask(o->foreign, o->history, &id, watched, ret);
    char name[USAGE_PATH_BYTES];
    ret->has_usage = s->executable && usage_name(s->executable, s->script, name) &&
                     usage_find(o->usage, name, wall_ms(), &ret->usage);
    if (a && is_new_connection(o, a->accepted_cookie))
        count_connection(o, &id, s, a->peer_uid);
    return true;
}

void observer_count(struct observer *o, const struct sender *s, uint64_t accepted_cookie, int64_t peer_uid)
{
    struct history_id id = {s->pid, s->start_ticks};
    if (is_new_connection(o, accepted_cookie))
        count_connection(o, &id, s, peer_uid);
}

/* ---- what is kept ---- */

bool observer_keep_is_full(const struct observer *o)
{
    return frozen_is_full(o->frozen);
}

/* "4242.918273.17" */
static bool read_ref(const char *ref, struct history_id *ret)
{
    char *end;
    ret->pid = strtoll(ref, &end, 10);
    if (*end != '.' || ret->pid <= 0)
        return false;
    ret->start_ticks = strtoll(end + 1, &end, 10);
    return *end == '.';
}

/* A proxy is told of what it was told of: of those that connected to it. */
enum agent_keep_outcome observer_keep(struct observer *o, const struct agent_keep *keep, int64_t peer_uid,
                                      struct agent_history *ret, int64_t *ret_until_ms)
{
    struct history_id id;
    int64_t now_ms = exec_now_ms();
    if (!read_ref(keep->sender_ref, &id))
        return AGENT_KEEP_UNKNOWN;
    begin_turn(o);
    take_some(o);
    say_losses(o);
    if (!history_has_connected(o->history, &id, peer_uid) &&
        frozen_until(o->frozen, &id, peer_uid, now_ms) == 0)
        return AGENT_KEEP_UNKNOWN;
    if (keep->seconds > 0 &&
        !frozen_keep(o->frozen, &id, peer_uid, now_ms, now_ms + (int64_t)keep->seconds * 1000))
        return AGENT_KEEP_FULL;
    int64_t until_ms = frozen_until(o->frozen, &id, peer_uid, now_ms);
    *ret = (struct agent_history){.window_s = 0};
    history_ask(o->history, &id, now_ms, ret);
    if (until_ms == 0)
        return AGENT_KEEP_NOT_KEPT;
    frozen_add(o->frozen, &id, now_ms, ret);
    *ret_until_ms = wall_ms() + until_ms - now_ms;
    return AGENT_KEEP_KEPT;
}
