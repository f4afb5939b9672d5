/* script.c: see script.h. One row an interpreter; a walk over the arguments that stops at the first thing which decides. Pure. */
#include "agent/script.h"

#include "base/must.h"

/* Letters are short options; `longs` are words separated by spaces. Whatever is in no list makes the answer UNCLEAR. */
struct interpreter {
    const char *names;   /* words; the file's name may add a version: python3.11 */
    const char *flags;   /* take no value and load nothing */
    const char *values;  /* take a value: the rest of the word, or the next one */
    const char *command; /* the value is the program */
    const char *module;  /* the value names a module */
    const char *input;   /* the program is read from standard input */
    const char *file;    /* the value is the script */
    const char *long_flags, *long_values, *long_commands, *long_files;
    bool plus;         /* options may begin with + (shells) */
    bool words;        /* a single dash begins a whole word (java) */
    bool class_is_arg; /* the first plain argument names a class unless it ends in .java */
};

static const struct interpreter interpreters[] = {
    {.names = "python pypy",
     .flags = "bBdEIiOPqRsSuvVhx?",
     .values = "W",
     .command = "c",
     .module = "m",
     .long_flags = "--version --help",
     .long_values = "--check-hash-based-pycs"},
    {.names = "node nodejs",
     .flags = "ivh",
     .values = "",
     .command = "ep",
     .module = "",
     .long_flags =
         "--interactive --no-warnings --trace-warnings --inspect --inspect-brk --enable-source-maps "
         "--harmony "
         "--trace-deprecation --no-deprecation --throw-deprecation --trace-uncaught --expose-gc --use-strict "
         "--preserve-symlinks --check --test --no-opt --prof --version --help",
     .long_values = "--title --max-old-space-size --stack-size --unhandled-rejections --max-http-header-size",
     .long_commands = "--eval --print"},
    {.names = "perl",
     .flags = "acflnpsStTuUvwWX",
     .values = "",
     .command = "eE",
     .long_flags = "--version --help"},
    {.names = "ruby jruby",
     .flags = "alnpsSvwWyh",
     .values = "",
     .command = "e",
     .long_flags = "--version --help --verbose --yjit --jit --disable-gems --enable-frozen-string-literal"},
    {.names = "php",
     .flags = "CHanqsvw",
     .values = "",
     .command = "rRBE",
     .file = "fF",
     .long_flags = "--version --help --no-php-ini --interactive",
     .long_files = "--file",
     .long_commands = "--run --process-code --process-begin --process-end"},
    {.names = "bash sh dash zsh ksh ash rbash mksh yash",
     .flags = "abefhiklmnprtuvxBCDEHPTgyFGNXZ",
     .values = "oO",
     .command = "c",
     .input = "s",
     .plus = true,
     .long_flags =
         "--login --posix --noprofile --norc --restricted --verbose --noediting --debugger --version --help"},
    {.names = "java",
     .flags = "",
     .values = "",
     .words = true,
     .class_is_arg = true,
     .long_flags = "-server -client -version -showversion -ea -esa -da -dsa --enable-preview -verbose",
     .long_values =
         "-cp -classpath --class-path --add-opens --add-exports --add-modules --add-reads -p --module-path",
     .long_files = "-jar"},
    {.names = "lua luajit luatex", .flags = "ivEW", .values = "", .command = "e", .input = ""},
    {.names = "ld-linux ld.so ld-linux-x86-64.so ld-linux-aarch64.so ld-musl",
     .flags = "",
     .values = "",
     .long_flags = "--inhibit-cache",
     .long_values = "--argv0 --library-path --inhibit-rpath --glibc-hwcaps-prepend --glibc-hwcaps-mask"},
    {.names = "tclsh wish expect", .flags = "ind", .values = "", .command = "c", .file = "f"},
    {.names = "Rscript guile awk gawk mawk osascript pwsh deno bun",
     .flags = ""}, /* never clear: any option or argument decides */
};

static bool has_letter(const char *letters, char c)
{
    return letters && c && strchr(letters, c) != NULL;
}

static bool has_word(const char *words, const char *word, size_t len)
{
    for (const char *w = words; w && *w;) {
        size_t n = strcspn(w, " ");
        if (n == len && memcmp(w, word, len) == 0)
            return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "python3.11-dbg" is python: a listed name, then only what versions are made of. */
static bool is_named(const struct interpreter *in, const char *name)
{
    for (const char *w = in->names; *w;) {
        size_t n = strcspn(w, " ");
        if (strncmp(name, w, n) == 0) {
            const char *rest = name + n;
            rest += strspn(rest, "0123456789.-_");
            if (*rest == 0 || strcmp(rest, "dbg") == 0 || strcmp(rest, "m") == 0 || strcmp(rest, "t") == 0)
                return true;
        }
        w += n + (w[n] == ' ');
    }
    return false;
}

static const struct interpreter *find_interpreter(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(interpreters); i++)
        if (is_named(&interpreters[i], name))
            return &interpreters[i];
    return NULL;
}

struct walk {
    const struct interpreter *in;
    const char *const *argv;
    size_t argc, at;
    const char *script; /* view into argv */
    bool input;         /* an option says: the program comes on standard input */
};

/* NONE means: go on with the next argument. */
static enum sender_script_kind take_file(struct walk *w, const char *value)
{
    if (!value && ++w->at < w->argc)
        value = w->argv[w->at];
    w->script = value;
    return value ? SENDER_SCRIPT_FILE : SENDER_SCRIPT_UNCLEAR;
}

static enum sender_script_kind long_option(struct walk *w, const char *word)
{
    size_t len = strcspn(word, "=");
    const char *value = word[len] ? word + len + 1 : NULL;
    if (has_word(w->in->long_commands, word, len))
        return SENDER_SCRIPT_COMMAND;
    if (has_word(w->in->long_files, word, len))
        return take_file(w, value);
    if (has_word(w->in->long_values, word, len)) {
        w->at += value ? 0 : 1;
        return SENDER_SCRIPT_NONE;
    }
    return has_word(w->in->long_flags, word, len) ? SENDER_SCRIPT_NONE : SENDER_SCRIPT_UNCLEAR;
}

/* A cluster of short options, its dash already dropped: each letter may decide or take the rest as its value. */
static enum sender_script_kind short_options(struct walk *w, const char *cluster)
{
    for (const char *c = cluster; *c; c++) {
        const char *rest = c[1] ? c + 1 : NULL;
        if (has_letter(w->in->command, *c))
            return SENDER_SCRIPT_COMMAND;
        if (has_letter(w->in->module, *c))
            return SENDER_SCRIPT_MODULE;
        if (has_letter(w->in->file, *c))
            return take_file(w, rest);
        if (has_letter(w->in->input, *c))
            w->input = true;
        else if (has_letter(w->in->values, *c)) {
            w->at += rest ? 0 : 1;
            return SENDER_SCRIPT_NONE;
        } else if (!has_letter(w->in->flags, *c))
            return SENDER_SCRIPT_UNCLEAR;
    }
    return SENDER_SCRIPT_NONE;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum sender_script_kind plain_argument(struct walk *w, const char *word)
{
    if (w->input)
        return SENDER_SCRIPT_STDIN; /* sh -s ARG: the argument is for the program that is read */
    if (w->in->class_is_arg && !ends_with(word, ".java"))
        return SENDER_SCRIPT_MODULE;
    w->script = word;
    return SENDER_SCRIPT_FILE;
}

static enum sender_script_kind one_argument(struct walk *w, const char *word)
{
    if (strcmp(word, "-") == 0)
        return SENDER_SCRIPT_STDIN;
    if (w->in->words && word[0] == '-' &&
        (word[1] == 'D' || strncmp(word, "-Xm", 3) == 0 || strncmp(word, "-Xs", 3) == 0))
        return SENDER_SCRIPT_NONE; /* java: properties and sizes */
    if (strncmp(word, "--", 2) == 0 || (w->in->words && word[0] == '-'))
        return long_option(w, word);
    if (word[0] == '-' || (w->in->plus && word[0] == '+'))
        return short_options(w, word + 1);
    return plain_argument(w, word);
}

static enum sender_script_kind walk_arguments(struct walk *w)
{
    for (; w->at < w->argc; w->at++) {
        const char *word = w->argv[w->at];
        if (strcmp(word, "--") == 0)
            return ++w->at < w->argc ? plain_argument(w, w->argv[w->at]) : SENDER_SCRIPT_STDIN;
        enum sender_script_kind kind = one_argument(w, word);
        if (kind != SENDER_SCRIPT_NONE)
            return kind;
    }
    return SENDER_SCRIPT_STDIN;
}

enum sender_script_kind script_find(const char *executable, const char *const *argv, size_t argc,
                                    const char **ret_script)
{
    const char *name = base_name(executable);
    struct walk w = {.in = find_interpreter(name), .argv = argv, .argc = argc, .at = 1};
    *ret_script = NULL;
    if (strcmp(name, "busybox") == 0 &&
        argc > 0) { /* one file, many programs: the first name that is no "busybox" */
        size_t applet = strcmp(base_name(argv[0]), "busybox") == 0 ? 1 : 0;
        w.in = applet < argc ? find_interpreter(base_name(argv[applet])) : NULL;
        w.at = applet + 1;
    }
    if (!w.in)
        return SENDER_SCRIPT_NONE;
    if (argc == 0 || !w.in->values)
        return SENDER_SCRIPT_UNCLEAR;
    enum sender_script_kind kind = walk_arguments(&w);
    *ret_script = kind == SENDER_SCRIPT_FILE ? w.script : NULL;
    return kind;
}
