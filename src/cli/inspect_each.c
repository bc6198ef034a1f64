#include "cli/inspect_each.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/scope.h"
#include "state/document.h"

int inspect_each(Invocation *invocation, InspectOne inspect, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_free_ char *text = NULL;
        int r = invocation_open_engine(invocation, &engine, err);

        STRV_FOREACH(name, r < 0 ? NULL : invocation->arguments) {
                json_t *row = NULL;

                r = inspect(invocation, engine, *name, &row, err);
                if (r < 0)
                        return r;
                json_array_append_new(rows, row);
        }
        if (r < 0)
                return r;
        text = json_dumps(rows, JSON_INDENT(4));
        printf("%s\n", text);
        return 0;
}

const Option inspect_each_options[] = { { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "json" }, { NULL } };
