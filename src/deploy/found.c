#include "deploy/found.h"

#include "base/mem.h"
#include "base/strv.h"

void found_done(Found *found)
{
        container_list_done(&found->containers);
        for (size_t i = 0; i < found->n_networks; i++)
                network_info_free(found->networks[i]);
        for (size_t i = 0; i < found->n_volumes; i++)
                volume_info_free(found->volumes[i]);
        strv_free(found->warnings);
        free(found->networks);
        free(found->volumes);
        *found = (Found){ 0 };
}

const NetworkInfo *found_network(const Found *found, const char *name)
{
        for (size_t i = 0; i < found->n_networks; i++)
                if (streq(found->networks[i]->name, name))
                        return found->networks[i];
        return NULL;
}

const VolumeInfo *found_volume(const Found *found, const char *name)
{
        for (size_t i = 0; i < found->n_volumes; i++)
                if (streq(found->volumes[i]->name, name))
                        return found->volumes[i];
        return NULL;
}

static int add_named_network(Engine *engine, const char *name, Found *found, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        NetworkInfo *info = NULL;
        int r = engine->operations->network_inspect(engine, name, &info, &reason);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        found->networks = xreallocarray(found->networks, found->n_networks + 1, sizeof(*found->networks));
        found->networks[found->n_networks++] = info;
        return 0;
}

static int add_named_volume(Engine *engine, const char *name, Found *found, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        VolumeInfo *info = NULL;
        int r = engine->operations->volume_inspect(engine, name, false, &info, &reason);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        found->volumes = xreallocarray(found->volumes, found->n_volumes + 1, sizeof(*found->volumes));
        found->volumes[found->n_volumes++] = info;
        return 0;
}

static int add_named(Engine *engine, const Project *model, Found *found, Error **err)
{
        int r;

        for (size_t i = 0; i < model->n_networks; i++) {
                if (found_network(found, model->networks[i].name))
                        continue;
                r = add_named_network(engine, model->networks[i].name, found, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < model->n_volumes; i++) {
                if (found_volume(found, model->volumes[i].name))
                        continue;
                r = add_named_volume(engine, model->volumes[i].name, found, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void add_warning(void *context, const char *text)
{
        strv_add(context, text);
}

static bool has_damage(const ContainerList *containers)
{
        for (size_t i = 0; i < containers->length; i++)
                if (containers->items[i]->damage)
                        return true;
        return false;
}

static int load_containers(Engine *engine, const char *project, ContainerList *ret, char ***warnings, Error **err)
{
        EngineProgress progress = { .context = warnings, .warning = add_warning, .cancel_fd = -1 };
        int r = engine->operations->container_list(engine, project, ret, err);

        if (r < 0 || !has_damage(ret) || !engine->operations->recover)
                return r;
        container_list_done(ret);
        r = engine->operations->recover(engine, project, &progress, err);
        return r < 0 ? r : engine->operations->container_list(engine, project, ret, err);
}

int found_load(Engine *engine, const char *project, const Project *model, Found *ret, Error **err)
{
        _cleanup_found_ Found found = { 0 };
        int r;

        r = load_containers(engine, project, &found.containers, &found.warnings, err);
        if (r < 0)
                return r;
        r = engine->operations->network_list(engine, project, &found.networks, &found.n_networks, err);
        if (r < 0)
                return r;
        r = engine->operations->volume_list(engine, project, &found.volumes, &found.n_volumes, err);
        if (r < 0)
                return r;
        r = model ? add_named(engine, model, &found, err) : 0;
        if (r < 0)
                return r;
        *ret = found;
        found = (Found){ 0 };
        return 0;
}
