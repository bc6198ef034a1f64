#include "keeper/oneshot.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/local.h"
#include "state/document.h"

typedef struct NetworkWords {
        NetworkSpec spec;
        NetworkPool pool;
        char **labels, **options;
} NetworkWords;

static int parse_option(char ***argv, NetworkWords *ret, Error **err)
{
        const struct {
                const char *name;
                char **value;
                char ***list;
        } options[] = {
                { "--driver", &ret->spec.driver, NULL },   { "--subnet", &ret->pool.subnet, NULL },
                { "--gateway", &ret->pool.gateway, NULL }, { "--ip-range", &ret->pool.ip_range, NULL },
                { "--label", NULL, &ret->labels },         { "--opt", NULL, &ret->options },
        };
        const char *word = **argv;

        if (streq(word, "--internal") || streq(word, "--ipv6")) {
                *(streq(word, "--internal") ? &ret->spec.internal : &ret->spec.enable_ipv6) = true;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                if (!streq(word, options[i].name))
                        continue;
                if (!*++*argv)
                        return error_set(err, ERROR_USAGE, "%s needs a value", word);
                if (options[i].value)
                        *options[i].value = **argv;
                else
                        strv_add(options[i].list, **argv);
                return 0;
        }
        return error_set(err, ERROR_USAGE, "unknown option %s", word);
}

static int parse_network(char **argv, NetworkWords *ret, Error **err)
{
        for (; *argv; argv++) {
                int r;
                if (**argv != '-' && !ret->spec.name) {
                        ret->spec.name = *argv;
                        continue;
                }
                r = parse_option(&argv, ret, err);
                if (r < 0)
                        return r;
        }
        if (!ret->spec.name)
                return error_set(err, ERROR_USAGE, "a network needs a name");
        if (ret->pool.subnet || ret->pool.gateway || ret->pool.ip_range) {
                ret->spec.pools = &ret->pool;
                ret->spec.n_pools = 1;
        }
        ret->spec.labels = ret->labels;
        ret->spec.options = ret->options;
        return 0;
}

static int network_create(Engine *engine, char **argv, Error **err)
{
        NetworkWords words = { 0 };
        NetworkInfo *present = NULL;
        int r = parse_network(argv, &words, err);

        if (r >= 0 && engine->operations->network_inspect(engine, words.spec.name, &present, NULL) >= 0)
                r = error_set(err, ERROR_EXISTS, "network \"%s\" exists already", words.spec.name);
        if (r >= 0)
                r = engine->operations->network_create(engine, &words.spec, err);
        network_info_free(present);
        strv_free(words.labels);
        strv_free(words.options);
        return r;
}

static void print_line(void *context, const char *text)
{
        printf("%s\n", text);
}

static int prune(Engine *engine, Error **err)
{
        const EngineProgress progress = { .status = print_line, .warning = print_line, .cancel_fd = -1 };

        return engine->operations->recover(engine, NULL, &progress, err);
}

static int dispatch(Engine *engine, char **argv, Error **err)
{
        if (streq(argv[0], "prune"))
                return prune(engine, err);
        if (argv[1] && streq(argv[1], "create"))
                return network_create(engine, argv + 2, err);
        if (argv[1] && streq(argv[1], "rm") && argv[2])
                return engine->operations->network_remove(engine, argv[2], err);
        return error_set(err, ERROR_USAGE, "expected network create NAME, network rm NAME or prune");
}

int oneshot(const Layout *layout, char **argv)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_error_ Error *error = NULL;
        _cleanup_json_ json_t *object = NULL;
        _cleanup_free_ char *text = NULL;
        int r = layout_prepare(layout, &error);

        if (r >= 0)
                r = local_engine_create(layout, &engine, &error);
        if (r >= 0)
                r = dispatch(engine, argv, &error);
        if (r >= 0)
                return 0;
        object = json_from_error(error);
        text = json_dumps(object, JSON_COMPACT);
        fprintf(stderr, "%s\n", text);
        return 1;
}
