#include "postgres/auto_conf.h"

#include "base/mem.h"

#define SETTING "synchronous_standby_names"
#define OURS    "berth_"

/* As ALTER SYSTEM writes it: name = 'value' */
static bool is_ours(const char *line)
{
        const char *rest = startswith(line, SETTING);

        if (!rest)
                return false;
        rest += strspn(rest, " \t=");
        return startswith(rest, "'" OURS) != NULL;
}

bool auto_conf_drop_synchronous(const char *text, Strbuf *ret)
{
        bool dropped = false;

        while (*text) {
                size_t length = strcspn(text, "\n");

                length += text[length] == '\n';
                if (is_ours(text))
                        dropped = true;
                else
                        strbuf_add(ret, text, length);
                text += length;
        }
        return dropped;
}
