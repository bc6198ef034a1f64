/* Interpolation of one text and the grammar of .env files, over the same input. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/dotenv.h"
#include "compose/template.h"
#include "fuzz.h"

static const Variable *lookup(const void *context, const char *name)
{
        static const Variable set = { "value $with {odd} characters", "the test" }, empty = { "", "the test" };

        return *name == 'E' ? &empty : *name == 'U' ? NULL : &set;
}

static void visit(void *context, const TemplateVariable *variable)
{
        if (!variable->name || !*variable->name)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = xstrndup((const char *)data, size);
        _cleanup_(variables_done) Variables variables = { 0 };
        LoadOptions options = { 0 };
        Loader loader = { .arena = arena_create(), .options = &options };
        _cleanup_error_ Error *error = NULL;
        TemplateResult result;
        const char *why = NULL;

        if (!template_substitute(&loader, text, lookup, NULL, &result, &why) && !why)
                abort();
        template_variables(loader.arena, text, visit, NULL);
        if (dotenv_parse(&loader, "fuzz.env", text, lookup, NULL, &variables, &error) < 0 && !error)
                abort();
        error_freep(&error);
        error = NULL;
        if (dotenv_parse_raw(&loader, "fuzz.env", text, lookup, NULL, &variables, &error) < 0 && !error)
                abort();
        strmap_done(&loader.warnings);
        arena_free(loader.arena);
        return 0;
}
