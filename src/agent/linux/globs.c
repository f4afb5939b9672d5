/* globs.c: see globs.h. A star does not match a slash; it does match a dot at the beginning. */
#include "agent/linux/globs.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static int fill(struct glob_row *row, const char *class_name, const char *glob)
{
    static const char all[] = "/**";
    size_t len = strlen(glob), cut = sizeof all - 1;
    if (glob[0] != '/' || len >= GLOB_BYTES || (class_name && strlen(class_name) >= GLOB_CLASS_BYTES))
        return -1;
    *row = (struct glob_row){.below = len > cut && strcmp(glob + len - cut, all) == 0};
    snprintf(row->class_name, sizeof row->class_name, "%s", class_name ? class_name : "");
    memcpy(row->text, glob, row->below ? len - cut : len);
    memcpy(row->folder, row->text, sizeof row->folder);
    char *slash = strrchr(row->folder, '/');
    if (!row->below)
        slash[slash == row->folder ? 1 : 0] = 0;
    return row->text[1] == 0 ? -1 : 0;
}

int globs_add(struct globs *g, const char *class_name, const char *glob)
{
    if (g->count == GLOBS_MAX || fill(&g->rows[g->count], class_name, glob) != 0)
        return -1;
    g->count++;
    return 0;
}

int globs_add_text(struct globs *g, const char *text)
{
    char class_name[GLOB_CLASS_BYTES];
    struct glob_row row;
    const char *sign = strchr(text, '=');
    size_t len = sign ? (size_t)(sign - text) : 0;
    if (len == 0 || len >= sizeof class_name || g->count == GLOBS_MAX)
        return -1;
    memcpy(class_name, text, len);
    class_name[len] = 0;
    if (fill(&row, class_name, sign + 1) != 0)
        return -1;
    memmove(&g->rows[1], &g->rows[0], g->count * sizeof g->rows[0]);
    g->rows[0] = row;
    g->count++;
    return 0;
}

void globs_add_defaults(struct globs *g)
{
#define WATCH(class_name, glob) globs_add(g, class_name, glob);
#include "agent/linux/watches.def"
#undef WATCH
}

const char *globs_class(const struct globs *g, const char *path, bool *ret_in_folder)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash > path ? (int)(slash - path) : 1, path);
    *ret_in_folder = false;
    for (size_t i = 0; i < g->count; i++) {
        const struct glob_row *row = &g->rows[i];
        int flags = FNM_PATHNAME | (row->below ? FNM_LEADING_DIR : 0);
        if (fnmatch(row->text, path, flags) == 0) {
            *ret_in_folder = true;
            return row->class_name[0] ? row->class_name : NULL;
        }
        if (!*ret_in_folder && fnmatch(row->folder, folder, flags) == 0)
            *ret_in_folder = true;
    }
    return NULL;
}
