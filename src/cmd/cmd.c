/* cmd.c: see cmd.h. Finds the command whose words come first in the arguments. Touches stdout and stderr. */
#include "cmd/cmd.h"

#include "base/log.h"
#include "base/must.h"
#include "base/yaml.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

static const struct command {
    const char *words, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(words, function, summary) {words, summary, function},
#include "cmd/commands.def"
#undef COMMAND
};

static void print_help(FILE *out)
{
    fputs("exeat " EXEAT_VERSION
          ": an egress proxy that knows who is asking\n\nusage: exeat COMMAND [OPTION...]\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-18s %s\n", commands[i].words, commands[i].summary);
    fputs("\n  exeat COMMAND --help   options, examples and exit codes of a command\n"
          "  exeat help [COMMAND]   this text, or that of a command\n"
          "  exeat --version        the version\n"
          "\n"
          "exit codes: 0 done   1 failed   2 wrong usage or configuration\n"
          "\n"
          "examples:\n"
          "  exeat init             make ./exeat-state\n"
          "  exeat run              run agent and proxy from it until Ctrl-C\n"
          "  exeat status           in another terminal\n",
          out);
}

/* How many arguments are the command's words; 0: it is another. */
static int match_words(const char *words, int argc, char **argv)
{
    int count = 0;
    for (const char *at = words; *at; count++) {
        size_t len = strcspn(at, " ");
        if (count >= argc || strlen(argv[count]) != len || memcmp(argv[count], at, len) != 0)
            return 0;
        at += len + (at[len] == ' ');
    }
    return count;
}

static const struct command *find_command(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        *ret_words = match_words(commands[i].words, argc, argv);
        if (*ret_words > 0)
            return &commands[i];
    }
    return NULL;
}

/* For `exeat config`: which commands begin so. */
static bool print_group(const char *word)
{
    bool any = false;
    size_t len = strlen(word);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strncmp(commands[i].words, word, len) != 0 || commands[i].words[len] != ' ')
            continue;
        fprintf(stderr, "%s  exeat %-18s %s\n", any ? "" : "exeat: which one?\n", commands[i].words,
                commands[i].summary);
        any = true;
    }
    return any;
}

static int unknown_command(int argc, char **argv)
{
    const char *names[ARRAY_LEN(commands)];
    char text[128];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].words;
    if (print_group(argv[0]))
        return CMD_USAGE;
    snprintf(text, sizeof text, "%.60s%s%.60s", argv[0], argc > 1 && argv[1][0] != '-' ? " " : "",
             argc > 1 && argv[1][0] != '-' ? argv[1] : "");
    const char *near = yaml_nearest(text, names, ARRAY_LEN(names));
    if (!near)
        near = yaml_nearest(argv[0], names, ARRAY_LEN(names));
    fprintf(stderr, "exeat: there is no command %s%s%s%s; see `exeat help`\n", argv[0],
            near ? "; did you mean `exeat " : "", near ? near : "", near ? "`?" : "");
    return CMD_USAGE;
}

int cmd_main(int argc, char **argv)
{
    char help_flag[] = "--help";
    int words;
    log_init("exeat", LOG_LEVEL_WARNING);
    argc--, argv++;
    bool help = argc > 0 && (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 ||
                             strcmp(argv[0], "-h") == 0);
    if (argc == 0 || (help && argc == 1))
        return print_help(help ? stdout : stderr), help ? CMD_OK : CMD_USAGE;
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)
        return puts("exeat " EXEAT_VERSION), CMD_OK;
    argc -= help, argv += help;
    const struct command *command = find_command(argc, argv, &words);
    if (!command)
        return unknown_command(argc, argv);
    opterr = 0;
    char *help_argv[] = {argv[words - 1], help_flag, NULL};
    return help ? command->run(2, help_argv) : command->run(argc - words + 1, argv + words - 1);
}

int cmd_usage(const char *words, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "exeat %s: ", words);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see `exeat %s --help`\n", words);
    return CMD_USAGE;
}

int cmd_bad_option(const char *words, int argc, char **argv)
{
    const char *argument = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    return cmd_usage(words, "the option %s is unknown or lacks its value", argument);
}

int cmd_fail(const struct err *err, int code)
{
    char text[1024];
    fprintf(stderr, "exeat: %s\n", err_format(err, text, sizeof text));
    return code;
}
