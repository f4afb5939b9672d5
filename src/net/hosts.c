/* hosts.c: /etc/hosts, read when it changed and looked up in memory: companies use it, and a name that is there is never
 * asked of a server. Called by resolver.c; touches that file only. */
#include "net/dns.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOSTS_BYTES_MAX = 8 * 1024 * 1024 };

bool file_id_update(struct file_id *id, const char *path)
{
    struct stat st;
    struct file_id now = {0};
    if (stat(path, &st) == 0) {
        now.device = st.st_dev;
        now.inode = st.st_ino;
        now.size = (uint64_t)st.st_size;
        now.changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    bool changed = now.device != id->device || now.inode != id->inode || now.size != id->size ||
                   now.changed_ns != id->changed_ns;
    *id = now;
    return changed;
}

void hosts_free(struct hosts *h)
{
    free(h->text);
    free(h->lines);
    h->text = NULL;
    h->lines = NULL;
    h->count = 0;
}

/* The whole file, NUL-terminated; NULL when it cannot be read or is no hosts file by its size. */
static char *read_text(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool fine = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= HOSTS_BYTES_MAX;
    size_t size = fine ? (size_t)st.st_size : 0, done = 0;
    char *text = fine ? malloc(size + 1) : NULL;
    while (text && done < size) {
        ssize_t n = read(fd, text + done, size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (text)
        text[done] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

static int add_line(struct hosts *h, size_t *capacity, const char *name, const struct ip *ip)
{
    if (h->count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 64;
        struct hosts_line *lines = realloc(h->lines, wanted * sizeof(*lines));
        if (!lines)
            return -1;
        h->lines = lines;
        *capacity = wanted;
    }
    h->lines[h->count] = (struct hosts_line){name, *ip, (unsigned)h->count};
    h->count++;
    return 0;
}

/* Lower case, without a trailing dot: as host_canonical() would have it. */
static void canonical(char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    if (len > 1 && name[len - 1] == '.')
        name[len - 1] = '\0';
}

static int compare_lines(const void *a, const void *b)
{
    const struct hosts_line *x = a, *y = b;
    int names = strcmp(x->name, y->name);
    return names ? names : (x->order > y->order) - (x->order < y->order);
}

void hosts_load(struct hosts *h, const char *path)
{
    size_t capacity = 0;
    char *rest, *words, *line, *word;
    hosts_free(h);
    rest = h->text = read_text(path);
    while (rest && (line = strsep(&rest, "\n"))) {
        struct ip ip;
        line[strcspn(line, "#")] = '\0';
        word = strtok_r(line, " \t\r\f\v", &words);
        if (!word || !ip_parse(span_str(word), &ip))
            continue;
        while ((word = strtok_r(NULL, " \t\r\f\v", &words))) {
            canonical(word);
            if (add_line(h, &capacity, word, &ip) != 0)
                return;
        }
    }
    if (h->count)
        qsort(h->lines, h->count, sizeof(*h->lines), compare_lines);
}

unsigned hosts_find(const struct hosts *h, const char *name, struct ip ret[DNS_ADDRESSES_MAX])
{
    size_t low = 0, high = h->count;
    unsigned found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(h->lines[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < h->count && found < DNS_ADDRESSES_MAX && strcmp(h->lines[low].name, name) == 0; low++)
        ret[found++] = h->lines[low].ip;
    return found;
}
