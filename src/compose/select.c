#include "compose/select.h"

#include <string.h>

#include "base/mem.h"

static bool has_profile(const Node *service, char *const *profiles)
{
        const Node *own = node_get(service, "profiles");

        if (!own)
                return true;
        STRV_FOREACH(profile, profiles) {
                if (streq(*profile, "*"))
                        return true;
                NODE_FOREACH_ITEM(item, own)
                if (streq((*item)->text, *profile))
                        return true;
        }
        return false;
}

/* Moves services between the enabled and the disabled ones by the profiles. */
void select_profiles(Loader *loader, Node *model, Node *disabled, char *const *profiles)
{
        Node *services = node_get(model, "services"), *enabled = node_new_map(loader->arena, services);
        Node *off = node_new_map(loader->arena, NULL);

        NODE_FOREACH_ENTRY(entry, services)
        node_set_at(loader->arena, has_profile(entry->value, profiles) ? enabled : off, entry->key, entry->line,
                    entry->column, entry->value);
        NODE_FOREACH_ENTRY(entry, disabled)
        node_set_at(loader->arena, has_profile(entry->value, profiles) ? enabled : off, entry->key, entry->line,
                    entry->column, entry->value);
        node_sort(enabled);
        *disabled = *off;
        node_set(loader->arena, model, "services", enabled);
}

/* Services that were named on the command line bring their profiles. */
void select_enable_named(Loader *loader, Node *model, Node *disabled, char ***profiles)
{
        bool more = false;

        STRV_FOREACH(name, loader->options->services) {
                const Node *own = node_get(node_get(disabled, *name), "profiles");

                if (node_find(node_get(model, "services"), *name) || !own)
                        continue;
                NODE_FOREACH_ITEM(item, own)
                strv_add(profiles, (*item)->text);
                more = true;
        }
        if (more)
                select_profiles(loader, model, disabled, *profiles);
}

static void select_service(Loader *loader, const Node *services, const char *name, bool required, Strmap *selected)
{
        const Node *service = node_get(services, name), *dependencies = node_get(service, "depends_on");

        if (strmap_has(selected, name))
                return;
        if (!service) {
                if (required && !loader_is_damaged(loader, "services", name, NULL))
                        loader_fail(loader, NULL, NULL, "no such service: %s", name);
                return;
        }
        strmap_set(selected, name, (void *)service);
        if (dependencies)
                NODE_FOREACH_ENTRY(entry, dependencies)
                {
                        const Node *needed = node_get(entry->value, "required");

                        select_service(loader, services, entry->key, !needed || needed->boolean, selected);
                }
}

/* Only the named services and what they depend on stay enabled. */
void select_only_named(Loader *loader, Node *model, Node *disabled)
{
        Node *services = node_get(model, "services"), *kept = node_new_map(loader->arena, services);
        _cleanup_strmap_ Strmap selected = STRMAP_INIT;

        if (!loader->options->services)
                return;
        STRV_FOREACH(name, loader->options->services)
                select_service(loader, services, *name, true, &selected);
        NODE_FOREACH_ENTRY(entry, services)
        {
                Node *dependencies = node_get(entry->value, "depends_on");

                if (!strmap_has(&selected, entry->key)) {
                        node_set_at(loader->arena, disabled, entry->key, entry->line, entry->column, entry->value);
                        continue;
                }
                for (size_t i = 0; dependencies && i < dependencies->n_entries;)
                        if (strmap_has(&selected, dependencies->entries[i].key))
                                i++;
                        else
                                node_remove(dependencies, dependencies->entries[i].key);
                if (dependencies && dependencies->n_entries == 0)
                        node_remove(entry->value, "depends_on");
                node_set_at(loader->arena, kept, entry->key, entry->line, entry->column, entry->value);
        }
        node_set(loader->arena, model, "services", kept);
}

static void use_sources(const Node *list, Strmap *used)
{
        if (list)
                NODE_FOREACH_ITEM(item, list)
                {
                        const char *source = node_text(node_get(*item, "source")),
                                   *type = node_text(node_get(*item, "type"));

                        if (source && (!type || streq(type, "volume")))
                                strmap_set(used, source, (void *)source);
                }
}

static void use_names(const Node *map, Strmap *used)
{
        if (map)
                NODE_FOREACH_ENTRY(entry, map)
        strmap_set(used, entry->key, (void *)entry->key);
}

/* Passwords of a database's roles need not be in any container. */
static void use_role_secrets(const Node *owner, Strmap *used)
{
        const Node *roles = node_get(node_get(owner, "x-berth"), "roles");

        if (!node_is(roles, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(entry, roles)
        {
                const char *secret = node_text(node_get(entry->value, "secret"));

                if (secret)
                        strmap_set(used, secret, (void *)secret);
        }
}

static void prune_section(Loader *loader, Node *model, const char *section, const Strmap *used)
{
        Node *all = node_get(model, section), *kept = node_new_map(loader->arena, all);

        if (!all)
                return;
        NODE_FOREACH_ENTRY(entry, all)
        if (strmap_has(used, entry->key))
                node_set_at(loader->arena, kept, entry->key, entry->line, entry->column, entry->value);
        kept->flags |= all->flags;
        if (kept->n_entries > 0)
                node_set(loader->arena, model, section, kept);
        else
                node_remove(model, section);
}

/* Resources that no enabled service uses are left out. */
void select_prune(Loader *loader, Node *model)
{
        static const char *const sections[] = { "networks", "volumes", "secrets", "configs", "models" };
        Strmap used[ARRAY_SIZE(sections)] = { 0 };

        NODE_FOREACH_ENTRY(entry, node_get(model, "services"))
        {
                use_names(node_get(entry->value, "networks"), &used[0]);
                use_sources(node_get(entry->value, "volumes"), &used[1]);
                use_sources(node_get(entry->value, "secrets"), &used[2]);
                use_sources(node_get(node_get(entry->value, "build"), "secrets"), &used[2]);
                use_sources(node_get(entry->value, "configs"), &used[3]);
                use_names(node_get(entry->value, "models"), &used[4]);
                use_role_secrets(entry->value, &used[2]);
        }
        use_role_secrets(model, &used[2]);
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                prune_section(loader, model, sections[i], &used[i]);
                strmap_done(&used[i]);
        }
}
