#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/node.h"

const char *node_kind_name(NodeKind kind)
{
        static const char *const names[] = {
                [NODE_NULL] = "null",     [NODE_BOOL] = "boolean", [NODE_INT] = "integer", [NODE_FLOAT] = "number",
                [NODE_STRING] = "string", [NODE_LIST] = "list",    [NODE_MAP] = "mapping", [NODE_TIME] = "time stamp",
        };
        return names[kind];
}

/* The fewest significant digits that read back as value: "d.ddde±xx" in text. */
static void shortest_digits(double value, bool single, char *text, size_t size)
{
        for (int digits = 0; digits <= 17; digits++) {
                snprintf(text, size, "%.*e", digits, value);
                if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
                        return;
        }
}

void format_float(Strbuf *buffer, double value, bool single, int low, int high)
{
        char text[64], digits[32];
        char *exponent_text;
        size_t n = 0;
        int exponent;

        if (isnan(value) || isinf(value)) {
                strbuf_adds(buffer, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
                return;
        }
        shortest_digits(value, single, text, sizeof text);
        exponent_text = strchr(text, 'e');
        exponent = atoi(exponent_text + 1);
        for (const char *c = text; c < exponent_text; c++)
                if (*c >= '0' && *c <= '9')
                        digits[n++] = *c;
        while (n > 1 && digits[n - 1] == '0')
                n--;
        if (text[0] == '-')
                strbuf_addc(buffer, '-');
        if (exponent < low || exponent >= high) {
                strbuf_addc(buffer, digits[0]);
                if (n > 1)
                        strbuf_addc(buffer, '.');
                strbuf_add(buffer, digits + 1, n - 1);
                strbuf_addf(buffer, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
                return;
        }
        if (exponent < 0) {
                strbuf_adds(buffer, "0.");
                for (int i = -1; i > exponent; i--)
                        strbuf_addc(buffer, '0');
                strbuf_add(buffer, digits, n);
                return;
        }
        for (int i = 0; i <= exponent; i++)
                strbuf_addc(buffer, (size_t)i < n ? digits[i] : '0');
        if (n > (size_t)exponent + 1) {
                strbuf_addc(buffer, '.');
                strbuf_add(buffer, digits + exponent + 1, n - (size_t)exponent - 1);
        }
}

const char *node_scalar_text(Arena *arena, const Node *node)
{
        switch (node->kind) {
        case NODE_BOOL:
                return node->boolean ? "true" : "false";
        case NODE_INT:
                if (node->flags & NODE_UNSIGNED)
                        return arena_printf(arena, "%llu", (unsigned long long)node->integer);
                return arena_printf(arena, "%lld", (long long)node->integer);
        case NODE_FLOAT: {
                _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
                format_float(&buffer, node->number, node->flags & NODE_SINGLE, -4, 6);
                return arena_strdup(arena, strbuf_text(&buffer));
        }
        case NODE_STRING:
        case NODE_TIME:
                return node->text;
        case NODE_NULL:
        case NODE_LIST:
        case NODE_MAP:
                break;
        }
        return "<nil>";
}
