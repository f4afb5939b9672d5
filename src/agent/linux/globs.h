/* globs.h: which files are watched: rows of a class and a glob, asked for each path that was opened. Pure but for fnmatch(3). */
#ifndef EXEAT_AGENT_LINUX_GLOBS_H
#define EXEAT_AGENT_LINUX_GLOBS_H

#include <stdbool.h>
#include <stddef.h>

enum { GLOBS_MAX = 256, GLOB_BYTES = 512, GLOB_CLASS_BYTES = 64 };

struct glob_row {
    char class_name[GLOB_CLASS_BYTES]; /* "": not watched */
    char text[GLOB_BYTES];             /* without the two stars */
    char folder[GLOB_BYTES]; /* those to watch: its part before the last slash, or all when `below` */
    bool below;              /* everything under it, at any depth */
};

struct globs {
    struct glob_row rows[GLOBS_MAX];
    size_t count;
};

void globs_add_defaults(struct globs *g);

/* 0, or -1: not an absolute path, too long, or too many. `class_name` NULL: not watched. */
int globs_add(struct globs *g, const char *class_name, const char *glob);

/* "CLASS=GLOB", as people write it; comes before what was added earlier. */
int globs_add_text(struct globs *g, const char *text);

/* The class; NULL: not watched. *ret_in_folder: the path lies in a folder that is looked at. */
const char *globs_class(const struct globs *g, const char *path, bool *ret_in_folder);

#endif
