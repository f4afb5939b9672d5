/* show.c: the configuration as text: what is in force, what differs between two, and the reference of all options. Called by
 * `exeat config`, the packaging and the reload; writes into buffers only. */
#include "base/must.h"
#include "conf/option.h"

enum { VALUE_BYTES = 1024 * 1024 };

static bool same_value(const struct option *o, const struct conf *a, const struct conf *b)
{
    struct buf x, y;
    buf_init(&x, VALUE_BYTES);
    buf_init(&y, VALUE_BYTES);
    option_show(o, a, &x);
    option_show(o, b, &y);
    bool same = !x.failed && !y.failed && span_equal(buf_span(&x), buf_span(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

static void show_section(const char *section, const struct conf *c, const struct conf *presets,
                         struct buf *out)
{
    bool began = false;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        if (strcmp(o->section, section) != 0 || (presets && same_value(o, c, presets)))
            continue;
        if (!began)
            buf_printf(out, "%s:\n", section);
        began = true;
        buf_printf(out, "  %s: ", o->name);
        option_show(o, c, out);
        buf_append_str(out, "\n");
    }
}

void conf_show(const struct conf *c, bool only_changed, struct buf *out)
{
    struct conf *presets = NULL;
    if (only_changed) {
        presets = conf_parse(span_of(NULL, 0), c->file, c->folder, NULL);
        if (!presets) {
            out->failed = true;
            return;
        }
    }
    for (size_t i = 0; i < option_section_count; i++)
        show_section(option_sections[i].name, c, presets, out);
    if (!only_changed || c->parent_count > 0)
        parents_show(c, out);
    conf_free(presets);
}

const char *conf_restart_needed(const struct conf *running, const struct conf *wanted)
{
    static const char *const names[] = {
#define SECTION(name, doc)
#define OPTION(section, name, type, preset, min, max, apply, reader, doc) #section "." #name,
#define SECTION_END(name)
#include "conf/options.def"
#undef SECTION
#undef OPTION
#undef SECTION_END
    };
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].restart && !same_value(&option_table[i], running, wanted))
            return names[i];
    return NULL;
}

static const char parents_doc[] = "Flows to what `match` holds for go through the first of `proxies` that "
                                  "works (HTTP CONNECT); names are not resolved here "
                                  "then, so a network holds only for addresses that the client writes as "
                                  "such. The first item that matches is taken.";

static const char parents_example[] = "parents:\n"
                                      "  - match: [intra.example, 10.0.0.0/8]\n"
                                      "    direct: true\n"
                                      "  - match: [any]\n"
                                      "    proxies: [\"proxy1.example:3128\", \"proxy2.example:3128\"]\n"
                                      "    user: gateway\n"
                                      "    password_file: parent.password\n";

static void reference_option_markdown(const struct option *o, struct buf *out)
{
    buf_printf(out, "| `%s` | ", o->name);
    option_describe(o, out);
    buf_printf(out, " | `%s` | %s | %s |\n", o->preset, o->restart ? "restart" : "reload", o->doc);
}

void conf_reference_markdown(struct buf *out)
{
    buf_append_str(
        out, "# exeat.yaml\n\nEvery option has a default; a file may be empty. Unknown keys are errors.\n");
    for (size_t s = 0; s < option_section_count; s++) {
        buf_printf(out,
                   "\n## %s\n%s\n\n| option | value | default | takes effect at | |\n|---|---|---|---|---|\n",
                   option_sections[s].name, option_sections[s].doc);
        for (size_t i = 0; i < option_count; i++)
            if (strcmp(option_table[i].section, option_sections[s].name) == 0)
                reference_option_markdown(&option_table[i], out);
    }
    buf_printf(out, "\n## parents\n%s\n\n```yaml\n%s```\n", parents_doc, parents_example);
}

/* Text for roff: backslashes and hyphens kept as they are, no line begins with a control character. */
static void append_roff_span(struct span text, struct buf *out)
{
    bool line_start = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (line_start && (c == '.' || c == '\''))
            buf_append_str(out, "\\&");
        if (c == '\\')
            buf_append_str(out, "\\e");
        else if (c == '-')
            buf_append_str(out, "\\-");
        else
            buf_append(out, &c, 1);
        line_start = c == '\n';
    }
}

static void append_roff(const char *text, struct buf *out)
{
    append_roff_span(span_str(text), out);
}

static void reference_option_man(const struct option *o, struct buf *out)
{
    struct buf value;
    buf_init(&value, 1024);
    option_describe(o, &value);
    buf_append_str(out, ".TP\n.B ");
    append_roff(o->name, out);
    buf_append_str(out, "\n");
    append_roff(o->doc, out);
    buf_append_str(out, "\n.br\n");
    append_roff_span(buf_span(&value), out);
    buf_append_str(out, "; default ");
    append_roff(o->preset, out);
    buf_append_str(out, o->restart ? "; takes effect at a restart.\n" : ".\n");
    buf_free(&value);
}

void conf_reference_man(struct buf *out)
{
    buf_append_str(out, ".SH OPTIONS\n");
    for (size_t s = 0; s < option_section_count; s++) {
        buf_printf(out, ".SS %s\n", option_sections[s].name);
        append_roff(option_sections[s].doc, out);
        buf_append_str(out, "\n");
        for (size_t i = 0; i < option_count; i++)
            if (strcmp(option_table[i].section, option_sections[s].name) == 0)
                reference_option_man(&option_table[i], out);
    }
    buf_append_str(out, ".SS parents\n");
    append_roff(parents_doc, out);
    buf_append_str(out, "\n.PP\n.nf\n");
    append_roff(parents_example, out);
    buf_append_str(out, ".fi\n");
}
