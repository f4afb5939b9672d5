/* jobs.c: see jobs.h. What users wrote is hostile: read line by line, with bounds, and copied with bounds. Pure. */
#include "agent/jobs.h"

#include <stdio.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* The next line without its end; false when there is none. */
static bool next_line(struct span *text, struct span *ret)
{
    if (text->len == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    *ret = trim(span_of(text->data, len));
    *text = span_from(*text, end ? len + 1 : len);
    return true;
}

static bool begins_with(struct span s, const char *word, size_t len)
{
    return s.len >= len && memcmp(s.data, word, len) == 0;
}

static void append(char *out, size_t size, struct span s)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%.*s", used ? "; " : "", (int)(s.len < size ? s.len : size),
             (const char *)s.data);
}

/* ---- unit files ---- */

static bool has_key(struct span line, const char *keys)
{
    for (const char *word = keys; *word;) {
        size_t len = strcspn(word, " ");
        if (begins_with(line, word, len) && memchr(line.data, '=', line.len))
            return true;
        word += len + (word[len] == ' ');
    }
    return false;
}

bool jobs_read_trigger(struct span text, const char *keys, char ret[JOB_TEXT_BYTES])
{
    struct span line;
    ret[0] = 0;
    while (next_line(&text, &line))
        if (has_key(line, keys))
            append(ret, JOB_TEXT_BYTES, line);
    return ret[0] != 0;
}

bool jobs_names_unit(struct span text, const char *name)
{
    static const char *const keys[] = {"Unit=", "Service="};
    struct span line;
    while (next_line(&text, &line))
        for (size_t i = 0; i < 2; i++)
            if (begins_with(line, keys[i], strlen(keys[i])) &&
                span_is(trim(span_from(line, strlen(keys[i]))), name))
                return true;
    return false;
}

/* ---- crontabs ---- */

static struct span next_word(struct span *s)
{
    *s = trim(*s);
    size_t len = 0;
    while (len < s->len && !is_blank(s->data[len]))
        len++;
    struct span word = span_of(s->data, len);
    *s = trim(span_from(*s, len));
    return word;
}

/* "NAME = value" is a setting of the crontab, no job. */
static bool is_setting(struct span line)
{
    size_t i = 0;
    while (i < line.len && (line.data[i] == '_' || (line.data[i] >= 'A' && line.data[i] <= 'Z') ||
                            (line.data[i] >= 'a' && line.data[i] <= 'z')))
        i++;
    while (i < line.len && is_blank(line.data[i]))
        i++;
    return i > 0 && i < line.len && line.data[i] == '=';
}

/* The words that a process was given, with one space between them, as a crontab would write it plainly. */
static bool is_written_as(struct span command, const char *const *argv, size_t argc)
{
    for (size_t i = 0; i < argc; i++) {
        struct span word = next_word(&command);
        if (!span_is(word, argv[i]))
            return false;
    }
    return argc > 0 && command.len == 0;
}

/* A name that says nothing of what runs. */
static bool is_interpreter(const char *name)
{
    static const char *const names[] = {"sh",   "bash",   "dash", "zsh",  "ksh",
                                        "perl", "python", "ruby", "node", "php"};
    size_t len = strcspn(name, "0123456789.");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
            return true;
    return false;
}

/* Does the command run argv[0], or the script that argv[1] is: as a word, or by the last part of a path? */
static bool mentions(struct span command, const char *const *argv, size_t argc)
{
    while (command.len > 0) {
        struct span word = next_word(&command);
        for (size_t i = 0; i < argc && i < 2; i++) {
            const char *slash = strrchr(argv[i], '/'), *name = slash ? slash + 1 : argv[i];
            if (argv[i][0] && argv[i][0] != '-' && !is_interpreter(name) &&
                (span_is(word, argv[i]) || span_is(word, name)))
                return true;
        }
    }
    return false;
}

static bool runs(struct span command, const char *const *argv, size_t argc, bool loosely)
{
    if (argc >= 3 && strcmp(argv[1], "-c") == 0)
        return span_is(command, argv[2]);
    return is_written_as(command, argv, argc) || (loosely && mentions(command, argv, argc));
}

/* Splits "times [user] command"; false when the line is none, or another user's. */
static bool read_job(struct span line, bool with_user, const char *user, struct span *ret_times,
                     struct span *ret_command)
{
    struct span rest = line;
    if (line.len == 0 || line.data[0] == '#' || is_setting(line))
        return false;
    for (size_t i = 0; i < (line.data[0] == '@' ? 1u : 5u); i++)
        next_word(&rest);
    size_t used = rest.len ? (size_t)(rest.data - line.data) : line.len;
    *ret_times = trim(span_of(line.data, used));
    if (with_user && !(user && span_is(next_word(&rest), user)))
        return false;
    *ret_command = rest;
    return rest.len > 0;
}

bool jobs_match_crontab(struct span text, bool with_user, const char *user, const char *const *argv,
                        size_t argc, char ret_times[JOB_TEXT_BYTES])
{
    for (int loosely = 0; loosely < 2; loosely++) { /* the very command before what looks like it */
        struct span rest = text, line, times, command;
        while (next_line(&rest, &line)) {
            if (!read_job(line, with_user, user, &times, &command) || !runs(command, argv, argc, loosely))
                continue;
            ret_times[0] = 0;
            append(ret_times, JOB_TEXT_BYTES, times);
            return true;
        }
    }
    return false;
}

/* ---- desktop entries ---- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool jobs_match_desktop(struct span text, const char *executable, const char *argv0)
{
    struct span line;
    while (next_line(&text, &line)) {
        if (!begins_with(line, "Exec=", 5))
            continue;
        struct span rest = span_from(line, 5), word = next_word(&rest);
        if (word.len >= 2 && word.data[0] == '"')
            word = span_of(word.data + 1, word.len - 2);
        bool path = word.len && word.data[0] == '/';
        if ((executable && span_is(word, path ? executable : last_part(executable))) ||
            (argv0 && span_is(word, path ? argv0 : last_part(argv0))))
            return true;
    }
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool jobs_desktop_name(const char *unit, char *ret, size_t size)
{
    static const char end[] = "@autostart.service";
    const char *slash = strrchr(unit, '/');
    const char *name = slash ? slash + 1 : unit;
    size_t len = strlen(name), used = 0;
    if (len <= 4 + sizeof end - 1 || strncmp(name, "app-", 4) != 0 ||
        strcmp(name + len - (sizeof end - 1), end) != 0)
        return false;
    len -= sizeof end - 1;
    for (size_t i = 4; i < len; used++) {
        if (used + 1 >= size)
            return false;
        int high = name[i] == '\\' && name[i + 1] == 'x' ? hex_digit(name[i + 2]) : -1;
        int low = high >= 0 ? hex_digit(name[i + 3]) : -1;
        ret[used] = low >= 0 ? (char)(high << 4 | low) : name[i];
        i += low >= 0 ? 4 : 1;
    }
    ret[used] = 0;
    return used > 0 && !memchr(ret, '/', used) && ret[0] != '.';
}
