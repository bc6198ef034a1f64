#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/output.h"

static size_t add_special(Strbuf *out, const unsigned char *c)
{
        if (*c == '\b' || *c == '\f')
                strbuf_adds(out, *c == '\b' ? "\\b" : "\\f");
        else if (*c < 0x20 || *c == '<' || *c == '>' || *c == '&')
                strbuf_addf(out, "\\u%04x", *c);
        else if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) {
                strbuf_addf(out, "\\u202%c", c[2] == 0xa8 ? '8' : '9');
                return 3;
        } else if (output_utf8_length(c) == 0)
                strbuf_adds(out, "\\ufffd"); /* JSON has no other bytes; the reference writes this, too */
        else
                return 0;
        return 1;
}

/* What travels is read as YAML, which is pickier about characters. */
static size_t add_special_travelling(Strbuf *out, const unsigned char *c)
{
        if (*c == 0x7f) {
                strbuf_adds(out, "\\u007f");
                return 1;
        }
        if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) {
                strbuf_addf(out, "\\u00%02x", c[1]);
                return 2;
        }
        if (c[0] == 0xef && ((c[1] == 0xbb && c[2] == 0xbf) || (c[1] == 0xbf && c[2] >= 0xbe))) {
                strbuf_adds(out, c[1] == 0xbb ? "\\ufeff" : c[2] == 0xbe ? "\\ufffe" : "\\uffff");
                return 3;
        }
        return add_special(out, c);
}

static void add_text(Strbuf *out, const char *text, JsonStyle style)
{
        output_quoted(out, text, style == JSON_TRAVEL ? add_special_travelling : add_special);
}

static void add_float(Strbuf *out, const Node *node)
{
        Strbuf text = STRBUF_INIT;
        char *exponent;

        if (isnan(node->number) || isinf(node->number)) {
                strbuf_adds(out, "null");
                return;
        }
        format_float(&text, node->number, node->flags & NODE_SINGLE, -6, 21);
        exponent = text.data ? strstr(text.data, "e-0") : NULL;
        if (exponent)
                memmove(exponent + 2, exponent + 3, strlen(exponent + 3) + 1); /* e-09 is e-9 */
        strbuf_adds(out, strbuf_text(&text));
        strbuf_done(&text);
}

static void add_break(Strbuf *out, JsonStyle style, unsigned depth)
{
        if (style != JSON_INDENTED)
                return;
        strbuf_addc(out, '\n');
        for (unsigned i = 0; i < depth; i++)
                strbuf_adds(out, "  ");
}

static bool shown(const Node *node, JsonStyle style)
{
        return style == JSON_TRAVEL ? !(node->flags & NODE_JSON_ONLY) : !(node->flags & NODE_YAML_ONLY);
}

static void add_node(Output *out, const Node *node, JsonStyle style, unsigned depth);

static int compare_entries(const void *a, const void *b)
{
        return strcmp((*(const NodeEntry *const *)a)->key, (*(const NodeEntry *const *)b)->key);
}

static void add_entry(Output *out, const NodeEntry *entry, JsonStyle style, bool first, unsigned depth)
{
        if (!first)
                strbuf_addc(&out->text, ',');
        add_break(&out->text, style, depth);
        add_text(&out->text, entry->key, style);
        strbuf_adds(&out->text, style == JSON_INDENTED ? ": " : ":");
        add_node(out, entry->value, style, depth);
}

/* The sections of the model, in the order of the reference. Yields how many. */
static size_t add_sorted(Output *out, const Node *map, JsonStyle style)
{
        _cleanup_free_ const NodeEntry **entries = xnew_array(const NodeEntry *, map->n_entries + 1);
        size_t n = 0;

        NODE_FOREACH_ENTRY(entry, map)
        if (shown(entry->value, style))
                entries[n++] = entry;
        qsort(entries, n, sizeof entries[0], compare_entries);
        for (size_t i = 0; i < n; i++)
                add_entry(out, entries[i], style, i == 0, 1);
        return n;
}

static void add_map(Output *out, const Node *map, JsonStyle style, unsigned depth)
{
        size_t n = 0;

        strbuf_addc(&out->text, '{');
        if (depth == 0 && style == JSON_INDENTED)
                n = add_sorted(out, map, style);
        else
                NODE_FOREACH_ENTRY(entry, map)
        if (shown(entry->value, style))
                add_entry(out, entry, style, n++ == 0, depth + 1);
        if (style == JSON_TRAVEL && (map->flags & NODE_LIST_FORM))
                strbuf_addf(&out->text, "%s\"x-#list\":true", n++ ? "," : "");
        else if (n > 0)
                add_break(&out->text, style, depth);
        strbuf_addc(&out->text, '}');
        output_drain(out);
}

static void add_list(Output *out, const Node *list, JsonStyle style, unsigned depth)
{
        if (list->n_items == 0 && (list->flags & NODE_NIL)) {
                strbuf_adds(&out->text, "null");
                return;
        }
        strbuf_addc(&out->text, '[');
        for (size_t i = 0; i < list->n_items; i++) {
                if (i > 0)
                        strbuf_addc(&out->text, ',');
                add_break(&out->text, style, depth + 1);
                add_node(out, list->items[i], style, depth + 1);
        }
        if (list->n_items > 0)
                add_break(&out->text, style, depth);
        strbuf_addc(&out->text, ']');
}

static void add_node(Output *out, const Node *node, JsonStyle style, unsigned depth)
{
        switch (node->kind) {
        case NODE_NULL:
                strbuf_adds(&out->text, "null");
                break;
        case NODE_BOOL:
                strbuf_adds(&out->text, node->boolean ? "true" : "false");
                break;
        case NODE_INT:
                if (node->flags & NODE_UNSIGNED)
                        strbuf_addf(&out->text, "%llu", (unsigned long long)node->integer);
                else
                        strbuf_addf(&out->text, "%lld", (long long)node->integer);
                break;
        case NODE_FLOAT:
                add_float(&out->text, node);
                break;
        case NODE_STRING:
        case NODE_TIME:
                add_text(&out->text, node->text, style);
                break;
        case NODE_LIST:
                add_list(out, node, style, depth);
                break;
        case NODE_MAP:
                add_map(out, node, style, depth);
                break;
        }
}

void output_json(Output *out, const Node *node, JsonStyle style)
{
        add_node(out, node, style, 0);
}
