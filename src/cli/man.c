#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "cli/documents.h"
#include "cli/help.h"

/* One character of UTF-8 as the formatter's name for it; returns how many bytes it had. */
static size_t add_unicode(Strbuf *page, const char *text)
{
        unsigned char first = (unsigned char)*text;
        size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        unsigned code = first & (0xffu >> (length + 1));

        for (size_t i = 1; i < length && text[i]; i++)
                code = code << 6 | ((unsigned char)text[i] & 0x3f);
        strbuf_addf(page, "\\[u%04X]", code);
        return length;
}

/* A leading dot or quote is a request to the formatter, a backslash an escape, a plain hyphen may become a dash. */
static void add_escaped(Strbuf *page, const char *text)
{
        bool line_start = page->length == 0 || page->data[page->length - 1] == '\n';

        for (; *text; text++) {
                if (line_start && (*text == '.' || *text == '\''))
                        strbuf_adds(page, "\\&");
                if (*text == '\\')
                        strbuf_adds(page, "\\e");
                else if (*text == '-')
                        strbuf_adds(page, "\\-");
                else if ((unsigned char)*text >= 0xc0)
                        text += add_unicode(page, text) - 1;
                else
                        strbuf_addc(page, *text);
                line_start = *text == '\n';
        }
}

static void add_paragraphs(Strbuf *page, const char *text)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines) {
                if (**line)
                        add_escaped(page, *line);
                else
                        strbuf_adds(page, ".PP");
                strbuf_addc(page, '\n');
        }
}

static void add_options(Strbuf *page, const Option *options)
{
        for (const Option *option = options; option && option->name; option++) {
                _cleanup_free_ char *description = option_description(option);

                if (option_is_hidden(option))
                        continue;
                strbuf_adds(page, ".TP\n");
                if (option->letter)
                        strbuf_addf(page, "\\fB\\-%c\\fR, ", option->letter);
                strbuf_adds(page, "\\fB\\-\\-");
                add_escaped(page, option->name);
                strbuf_adds(page, "\\fR");
                if (option->argument)
                        strbuf_addf(page, " \\fI%s\\fR", option->argument);
                strbuf_addc(page, '\n');
                add_escaped(page, description);
                strbuf_adds(page, ".\n");
        }
}

static void add_examples(Strbuf *page, const char *examples)
{
        strbuf_adds(page, ".nf\n");
        add_escaped(page, examples);
        strbuf_adds(page, "\n.fi\n");
}

static void add_synopsis(Strbuf *page, const Command *command)
{
        _cleanup_free_ char *synopsis = command_synopsis(command);

        strbuf_adds(page, "\\fBberth ");
        add_escaped(page, command->name);
        strbuf_adds(page, "\\fR ");
        add_escaped(page, synopsis);
        strbuf_adds(page, "\n.br\n");
}

static void add_leaf(Strbuf *page, const Command *command, const char *macro)
{
        if (command->details) {
                strbuf_addf(page, "%s", macro);
                add_paragraphs(page, command->details);
        }
        add_options(page, command->options);
}

static char *program_page(void)
{
        _cleanup_strbuf_ Strbuf page = STRBUF_INIT;

        strbuf_addf(&page, ".TH BERTH 1 \"\" \"berth %s\"\n.SH NAME\nberth \\- run PostgreSQL from a compose file\n",
                    BERTH_VERSION);
        strbuf_adds(&page, ".SH SYNOPSIS\n\\fBberth\\fR [OPTIONS] COMMAND\n.SH OPTIONS\n");
        add_options(&page, global_options);
        for (size_t group = 0; group < _COMMAND_GROUP_MAX; group++) {
                strbuf_addf(&page, ".SH \"%s\"\n", command_group_titles[group]);
                for (const Command *const *c = commands; *c; c++) {
                        if ((*c)->group != (CommandGroup)group || (*c)->flags & COMMAND_HIDDEN)
                                continue;
                        strbuf_adds(&page, ".TP\n\\fBberth\\-");
                        add_escaped(&page, (*c)->name);
                        strbuf_adds(&page, "\\fR(1)\n");
                        add_escaped(&page, (*c)->summary);
                        strbuf_adds(&page, ".\n");
                }
        }
        strbuf_adds(
                &page,
                ".SH \"EXIT STATUS\"\n0 success; 1 an error; 2 a wrong command line; 126, 127 a command in a container "
                "that cannot be run or found; 130 ended by Ctrl\\-C. \\fBexec\\fR and \\fBrun\\fR end with their "
                "command's status.\n");
        strbuf_adds(
                &page,
                ".SH FILES\n.TP\n\\fI/var/lib/berth\\fR\nData: images, volumes, projects (\\fBBERTH_DATA_DIR\\fR).\n"
                ".TP\n\\fI/run/berth\\fR\nWhat runs now (\\fBBERTH_RUN_DIR\\fR).\n");
        return strbuf_take(&page);
}

char *man_page(const Command *command)
{
        _cleanup_strbuf_ Strbuf page = STRBUF_INIT;

        if (!command)
                return program_page();
        strbuf_addf(&page, ".TH BERTH-%s 1 \"\" \"berth %s\"\n.SH NAME\nberth\\-%s \\- ", command->name, BERTH_VERSION,
                    command->name);
        add_escaped(&page, command->summary);
        strbuf_adds(&page, "\n.SH SYNOPSIS\n");
        if (command->function)
                add_synopsis(&page, command);
        for (const Command *const *child = command->children; child && *child; child++)
                if (!((*child)->flags & COMMAND_HIDDEN))
                        add_synopsis(&page, *child);
        strbuf_adds(&page, ".SH DESCRIPTION\n");
        add_escaped(&page, command->summary);
        strbuf_adds(&page, ".\n");
        add_leaf(&page, command, ".PP\n");
        for (const Command *const *child = command->children; child && *child; child++) {
                if ((*child)->flags & COMMAND_HIDDEN)
                        continue;
                strbuf_addf(&page, ".SS berth %s\n", (*child)->name);
                add_escaped(&page, (*child)->summary);
                strbuf_adds(&page, ".\n");
                add_leaf(&page, *child, ".PP\n");
        }
        if (command->examples) {
                strbuf_adds(&page, ".SH EXAMPLES\n");
                add_examples(&page, command->examples);
        }
        if (command->differences) {
                strbuf_adds(&page, ".SH \"DIFFERENCES FROM DOCKER COMPOSE\"\n");
                add_paragraphs(&page, command->differences);
        }
        strbuf_adds(&page, ".SH \"SEE ALSO\"\n\\fBberth\\fR(1)\n");
        return strbuf_take(&page);
}
