#include "compose/interpolate.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "compose/place.h"
#include "compose/template.h"

typedef enum Cast { CAST_INT, CAST_FLOAT, CAST_SINGLE, CAST_BOOL } Cast;

/* Which values are more than text. The place of a name that a user chose is a *. */
static const struct {
        const char *pattern;
        Cast cast;
} casts[] = {
        { "services.*.cpu_count", CAST_INT },
        { "services.*.cpu_percent", CAST_FLOAT },
        { "services.*.cpu_period", CAST_INT },
        { "services.*.cpu_quota", CAST_INT },
        { "services.*.cpu_rt_period", CAST_INT },
        { "services.*.cpu_rt_runtime", CAST_INT },
        { "services.*.cpus", CAST_SINGLE },
        { "services.*.cpu_shares", CAST_INT },
        { "services.*.init", CAST_BOOL },
        { "services.*.deploy.replicas", CAST_INT },
        { "services.*.deploy.update_config.parallelism", CAST_INT },
        { "services.*.deploy.update_config.max_failure_ratio", CAST_FLOAT },
        { "services.*.deploy.rollback_config.parallelism", CAST_INT },
        { "services.*.deploy.rollback_config.max_failure_ratio", CAST_FLOAT },
        { "services.*.deploy.restart_policy.max_attempts", CAST_INT },
        { "services.*.deploy.placement.max_replicas_per_node", CAST_INT },
        { "services.*.healthcheck.retries", CAST_INT },
        { "services.*.healthcheck.disable", CAST_BOOL },
        { "services.*.oom_kill_disable", CAST_BOOL },
        { "services.*.oom_score_adj", CAST_INT },
        { "services.*.pids_limit", CAST_INT },
        { "services.*.ports.[].target", CAST_INT },
        { "services.*.privileged", CAST_BOOL },
        { "services.*.read_only", CAST_BOOL },
        { "services.*.scale", CAST_INT },
        { "services.*.stdin_open", CAST_BOOL },
        { "services.*.tty", CAST_BOOL },
        { "services.*.ulimits.*", CAST_INT },
        { "services.*.ulimits.*.hard", CAST_INT },
        { "services.*.ulimits.*.soft", CAST_INT },
        { "services.*.volumes.[].read_only", CAST_BOOL },
        { "services.*.volumes.[].volume.nocopy", CAST_BOOL },
        { "networks.*.external", CAST_BOOL },
        { "networks.*.internal", CAST_BOOL },
        { "networks.*.attachable", CAST_BOOL },
        { "networks.*.enable_ipv4", CAST_BOOL },
        { "networks.*.enable_ipv6", CAST_BOOL },
        { "volumes.*.external", CAST_BOOL },
        { "secrets.*.external", CAST_BOOL },
        { "configs.*.external", CAST_BOOL },
};

static const Variable *lookup_variable(const void *context, const char *name)
{
        return variables_get(context, name);
}

bool cast_boolean(Loader *loader, const char *text, bool *ret)
{
        static const char *const yes[] = { "y", "yes", "on" }, *const no[] = { "n", "no", "off" };

        if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
                *ret = tolower((unsigned char)*text) == 't';
                return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                bool value = strcasecmp(text, yes[i]) == 0;

                if (!value && strcasecmp(text, no[i]) != 0)
                        continue;
                *ret = value;
                loader_warn(loader, "\"%s\" for boolean is not supported by YAML 1.2, please use `%s`", text,
                            value ? "true" : "false");
                return true;
        }
        return false;
}

bool cast_int(const char *text, int64_t *ret)
{
        const char *digits = text + (*text == '-' || *text == '+');
        char *end;
        long long value;

        if (!isdigit((unsigned char)*digits))
                return false;
        errno = 0;
        value = strtoll(text, &end, 10);
        if (*end || errno)
                return false;
        *ret = value;
        return true;
}

bool cast_float(const char *text, double *ret)
{
        char *end;
        double value;

        if (!*text || isspace((unsigned char)*text))
                return false;
        value = strtod(text, &end);
        if (*end)
                return false;
        *ret = value;
        return true;
}

static bool cast_node(Loader *loader, Node *node, const NodePath *path, Cast cast)
{
        const char *text = node->text, *wanted = NULL;
        int64_t integer;
        double number;
        bool boolean;

        if (cast == CAST_INT) {
                if (cast_int(text, &integer)) {
                        node->kind = NODE_INT;
                        node->integer = integer;
                } else
                        wanted = "an integer";
        } else if (cast == CAST_BOOL) {
                if (cast_boolean(loader, text, &boolean)) {
                        node->kind = NODE_BOOL;
                        node->boolean = boolean;
                } else
                        wanted = "a boolean (true or false)";
        } else if (cast_float(text, &number)) {
                node->kind = NODE_FLOAT;
                node->number = cast == CAST_SINGLE ? (double)(float)number : number;
                node->flags |= cast == CAST_SINGLE ? NODE_SINGLE : 0;
        } else
                wanted = "a number";
        if (wanted)
                loader_fail(loader, node, path, "\"%s\" is not %s", text, wanted);
        return !wanted;
}

static bool interpolate_string(Loader *loader, Node *node, const Variables *variables, const Place *place)
{
        const char *error = NULL;
        TemplateResult result;
        int rule;

        if (!template_substitute(loader, node->text, lookup_variable, variables, &result, &error)) {
                loader_fail(loader, node, place_path(place), "%s", error);
                return false;
        }
        node->text = result.text;
        node_set_note(loader->arena, node, result.note);
        rule = place_rule(place);
        return rule < 0 || cast_node(loader, node, place_path(place), casts[rule].cast);
}

static bool interpolate_node(Loader *loader, Node *node, const Variables *variables, const Place *place);

static void interpolate_list(Loader *loader, Node *list, const Variables *variables, const Place *place)
{
        uint32_t n = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                const Place item = place_item(place, i);

                if (interpolate_node(loader, list->items[i], variables, &item))
                        list->items[n++] = list->items[i];
                else
                        loader_damaged(loader, place_path(&item));
        }
        list->n_items = n;
}

static void interpolate_map(Loader *loader, Node *map, const Variables *variables, const Place *place)
{
        for (size_t i = 0; i < map->n_entries;) {
                const Place member = place_key(place, map->entries[i].key);

                if (interpolate_node(loader, map->entries[i].value, variables, &member)) {
                        i++;
                        continue;
                }
                loader_damaged(loader, place_path(&member));
                node_remove(map, map->entries[i].key);
        }
}

/* false: it is wrong, to be taken out. */
static bool interpolate_node(Loader *loader, Node *node, const Variables *variables, const Place *place)
{
        if (node->kind == NODE_STRING)
                return interpolate_string(loader, node, variables, place);
        if (node->kind == NODE_LIST)
                interpolate_list(loader, node, variables, place);
        else if (node->kind == NODE_MAP)
                interpolate_map(loader, node, variables, place);
        return true;
}

void interpolate_tree(Loader *loader, Node *root, const Variables *variables)
{
        Place top;

        if (!loader->casts)
                loader->casts = PATTERNS_OF(loader->arena, casts);
        top = place_top(loader->casts);
        interpolate_node(loader, root, variables, &top);
}

bool interpolate_text(Loader *loader, const char *text, const Variables *variables, const char **ret,
                      const char **ret_error)
{
        TemplateResult result;

        if (!template_substitute(loader, text, lookup_variable, variables, &result, ret_error))
                return false;
        *ret = result.text;
        return true;
}
