#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "compose/output.h"

static void add_string(Strbuf *out, const char *text)
{
        strbuf_addc(out, '"');
        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if (*c == '"' || *c == '\\')
                        strbuf_addf(out, "\\%c", *c);
                else if (*c == '\n')
                        strbuf_adds(out, "\\n");
                else if (*c == '\r')
                        strbuf_adds(out, "\\r");
                else if (*c == '\t')
                        strbuf_adds(out, "\\t");
                else if (*c == '\b')
                        strbuf_adds(out, "\\b");
                else if (*c == '\f')
                        strbuf_adds(out, "\\f");
                else if (*c < 0x20 || *c == '<' || *c == '>' || *c == '&')
                        strbuf_addf(out, "\\u%04x", *c);
                else if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) {
                        strbuf_addf(out, "\\u202%c", c[2] == 0xa8 ? '8' : '9');
                        c += 2;
                } else
                        strbuf_addc(out, (char)*c);
        }
        strbuf_addc(out, '"');
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

static void add_node(Strbuf *out, const Node *node, JsonStyle style, unsigned depth);

static int compare_entries(const void *a, const void *b)
{
        return strcmp((*(const NodeEntry *const *)a)->key, (*(const NodeEntry *const *)b)->key);
}

static void add_map(Strbuf *out, const Node *map, JsonStyle style, unsigned depth)
{
        _cleanup_free_ const NodeEntry **entries = xnew_array(const NodeEntry *, map->n_entries + 1);
        bool marked = style == JSON_TRAVEL && (map->flags & NODE_LIST_FORM);
        size_t n = 0;

        NODE_FOREACH_ENTRY(entry, map)
        if (shown(entry->value, style))
                entries[n++] = entry;
        if (depth == 0 && style == JSON_INDENTED)
                qsort(entries, n, sizeof entries[0], compare_entries);
        strbuf_addc(out, '{');
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        strbuf_addc(out, ',');
                add_break(out, style, depth + 1);
                add_string(out, entries[i]->key);
                strbuf_adds(out, style == JSON_INDENTED ? ": " : ":");
                add_node(out, entries[i]->value, style, depth + 1);
        }
        if (marked)
                strbuf_addf(out, "%s\"x-#list\":true", n ? "," : "");
        if (n > 0)
                add_break(out, style, depth);
        strbuf_addc(out, '}');
}

static void add_list(Strbuf *out, const Node *list, JsonStyle style, unsigned depth)
{
        if (list->n_items == 0 && (list->flags & NODE_NIL)) {
                strbuf_adds(out, "null");
                return;
        }
        strbuf_addc(out, '[');
        for (size_t i = 0; i < list->n_items; i++) {
                if (i > 0)
                        strbuf_addc(out, ',');
                add_break(out, style, depth + 1);
                add_node(out, list->items[i], style, depth + 1);
        }
        if (list->n_items > 0)
                add_break(out, style, depth);
        strbuf_addc(out, ']');
}

static void add_node(Strbuf *out, const Node *node, JsonStyle style, unsigned depth)
{
        switch (node->kind) {
        case NODE_NULL:
                strbuf_adds(out, "null");
                break;
        case NODE_BOOL:
                strbuf_adds(out, node->boolean ? "true" : "false");
                break;
        case NODE_INT:
                if (node->flags & NODE_UNSIGNED)
                        strbuf_addf(out, "%llu", (unsigned long long)node->integer);
                else
                        strbuf_addf(out, "%lld", (long long)node->integer);
                break;
        case NODE_FLOAT:
                add_float(out, node);
                break;
        case NODE_STRING:
        case NODE_TIME:
                add_string(out, node->text);
                break;
        case NODE_LIST:
                add_list(out, node, style, depth);
                break;
        case NODE_MAP:
                add_map(out, node, style, depth);
                break;
        }
}

void output_json(Strbuf *out, const Node *node, JsonStyle style)
{
        add_node(out, node, style, 0);
}
