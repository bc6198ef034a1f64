#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "compose/output.h"
#include "compose/scalar.h"

static void add_indent(Strbuf *out, unsigned depth)
{
        for (unsigned i = 0; i < depth; i++)
                strbuf_adds(out, "  ");
}

static bool is_plain(const char *text)
{
        size_t length = strlen(text);

        if (length == 0 || scalar_needs_quotes(text) || strchr("-?:,[]{}#&*!|>'\"%@` =~", *text) ||
            text[length - 1] == ' ' || text[length - 1] == ':')
                return *text == '-' && length > 1 && text[1] != ' ' && text[1] != '-' && !scalar_needs_quotes(text) &&
                       is_plain(text + 1);
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
                if (*c < 0x20 || *c == 0x7f || *c >= 0x80 || (*c == ':' && (c[1] == ' ' || !c[1])) ||
                    (*c == '#' && c > (const unsigned char *)text && c[-1] == ' '))
                        return false;
        return true;
}

/* Any text at all can be written in double quotes. */
static size_t add_special(Strbuf *out, const unsigned char *c)
{
        if (*c < 0x20 || *c == 0x7f)
                strbuf_addf(out, "\\x%02x", *c);
        else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) {
                strbuf_addf(out, "\\x%02x", c[1]);
                return 2;
        } else if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) {
                strbuf_adds(out, c[2] == 0xa8 ? "\\L" : "\\P");
                return 3;
        } else if (c[0] == 0xef && ((c[1] == 0xbb && c[2] == 0xbf) || (c[1] == 0xbf && c[2] >= 0xbe))) {
                strbuf_adds(out, c[1] == 0xbb ? "\\uFEFF" : c[2] == 0xbe ? "\\uFFFE" : "\\uFFFF");
                return 3;
        } else
                return 0;
        return 1;
}

/* Several lines as a block, where they can be one: no control characters, no space that a block would lose. */
static bool is_block(const char *text)
{
        bool line_start = true;

        if (!strchr(text, '\n') || *text == '\n' || *text == ' ')
                return false;
        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if ((*c < 0x20 && *c != '\n') || *c >= 0x7f)
                        return false;
                if (line_start && *c == ' ' && strspn((const char *)c, " ") == strcspn((const char *)c, "\n"))
                        return false;
                line_start = *c == '\n';
        }
        return true;
}

static void add_block(Strbuf *out, const char *text, unsigned depth)
{
        size_t length = strlen(text), newlines = 0;

        while (newlines < length && text[length - 1 - newlines] == '\n')
                newlines++;
        strbuf_adds(out, newlines == 0 ? "|-" : newlines == 1 ? "|" : "|+");
        while (*text) {
                size_t line = strcspn(text, "\n");

                strbuf_addc(out, '\n');
                if (line > 0)
                        add_indent(out, depth);
                strbuf_add(out, text, line);
                text += line;
                if (*text == '\n' && (text[1] || newlines > 1))
                        text++;
                else if (*text == '\n')
                        break;
        }
}

static bool is_utf8(const char *text)
{
        for (const unsigned char *c = (const unsigned char *)text; *c; c += output_utf8_length(c))
                if (output_utf8_length(c) == 0)
                        return false;
        return true;
}

/* On one line. */
static void add_short(Strbuf *out, const char *text)
{
        if (is_plain(text)) {
                strbuf_adds(out, text);
        } else if (is_utf8(text)) {
                output_quoted(out, text, add_special);
        } else {
                _cleanup_free_ char *encoded = base64_encode(text, strlen(text));

                strbuf_addf(out, "!!binary %s", encoded);
        }
}

static void add_string(Strbuf *out, const char *text, unsigned depth)
{
        if (!is_plain(text) && is_block(text))
                add_block(out, text, depth);
        else
                add_short(out, text);
}

static void add_number(Strbuf *out, const Node *node)
{
        if (node->kind == NODE_INT)
                strbuf_addf(out, (node->flags & NODE_UNSIGNED) ? "%llu" : "%lld", (long long)node->integer);
        else if (isnan(node->number))
                strbuf_adds(out, ".nan");
        else if (isinf(node->number))
                strbuf_adds(out, node->number > 0 ? ".inf" : "-.inf");
        else
                format_float(out, node->number, node->flags & NODE_SINGLE, -4, 21);
}

static bool is_empty(const Node *node)
{
        if (node->kind == NODE_LIST)
                return node->n_items == 0;
        if (node->kind != NODE_MAP)
                return false;
        NODE_FOREACH_ENTRY(entry, node)
        if (!(entry->value->flags & NODE_JSON_ONLY))
                return false;
        return true;
}

static void add_block_node(Output *out, const Node *node, unsigned depth, bool inside_list);

static void add_scalar(Strbuf *out, const Node *node, unsigned depth)
{
        switch (node->kind) {
        case NODE_NULL:
                strbuf_adds(out, "null");
                break;
        case NODE_BOOL:
                strbuf_adds(out, node->boolean ? "true" : "false");
                break;
        case NODE_INT:
        case NODE_FLOAT:
                add_number(out, node);
                break;
        case NODE_STRING:
                add_string(out, node->text, depth);
                break;
        case NODE_TIME:
                strbuf_adds(out, node->text);
                break;
        case NODE_LIST:
                strbuf_adds(out, "[]");
                break;
        case NODE_MAP:
                strbuf_adds(out, "{}");
                break;
        }
}

/* What stands behind "key:" or "-". */
static void add_value(Output *out, const Node *node, unsigned depth, bool inside_list)
{
        bool nested = (node->kind == NODE_MAP || node->kind == NODE_LIST) && !is_empty(node);

        strbuf_addc(&out->text, nested && !inside_list ? '\n' : ' ');
        if (nested) {
                add_block_node(out, node, depth, inside_list);
        } else {
                add_scalar(&out->text, node, depth);
                strbuf_addc(&out->text, '\n');
        }
        output_drain(out);
}

/* The first line of what stands in a list continues the line of its dash. */
static void add_block_node(Output *out, const Node *node, unsigned depth, bool inside_list)
{
        bool first = true;

        if (node->kind == NODE_LIST) {
                NODE_FOREACH_ITEM(item, node)
                {
                        if (!(first && inside_list))
                                add_indent(&out->text, depth);
                        first = false;
                        strbuf_addc(&out->text, '-');
                        add_value(out, *item, depth + 1, true);
                }
                return;
        }
        NODE_FOREACH_ENTRY(entry, node)
        {
                if (entry->value->flags & NODE_JSON_ONLY)
                        continue;
                if (!(first && inside_list))
                        add_indent(&out->text, depth);
                first = false;
                add_short(&out->text, entry->key);
                strbuf_addc(&out->text, ':');
                add_value(out, entry->value, depth + 1, false);
        }
}

void output_yaml(Output *out, const Node *node)
{
        if (is_empty(node) || (node->kind != NODE_MAP && node->kind != NODE_LIST))
                add_value(out, node, 0, true);
        else
                add_block_node(out, node, 0, false);
}
