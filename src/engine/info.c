#include "base/mem.h"
#include "base/strv.h"
#include "engine/engine.h"

const char *container_state_name(ContainerState state)
{
        switch (state) {
        case CONTAINER_CREATED:
                return "created";
        case CONTAINER_RUNNING:
                return "running";
        case CONTAINER_PAUSED:
                return "paused";
        case CONTAINER_EXITED:
                return "exited";
        case CONTAINER_DEAD:
                return "dead";
        }
        return "unknown";
}

bool container_was_told_to_stop(const ContainerInfo *info)
{
        return info->manually_stopped || info->halted;
}

void container_info_free(ContainerInfo *info)
{
        if (!info)
                return;
        for (size_t i = 0; i < info->n_addresses; i++) {
                free(info->addresses[i].network);
                free(info->addresses[i].ipv4);
                free(info->addresses[i].ipv6);
                free(info->addresses[i].mac);
                free(info->addresses[i].gateway);
        }
        for (size_t i = 0; i < info->n_ports; i++)
                free(info->ports[i].host_ip);
        free(info->addresses);
        free(info->ports);
        free(info->id);
        free(info->name);
        free(info->image);
        free(info->image_id);
        free(info->project);
        free(info->service);
        free(info->error);
        free(info->damage);
        free(info->health);
        free(info->log_path);
        container_spec_free(info->spec);
        free(info);
}

void container_list_done(ContainerList *list)
{
        for (size_t i = 0; i < list->length; i++)
                container_info_free(list->items[i]);
        free(list->items);
        *list = (ContainerList){ 0 };
}

void network_info_free(NetworkInfo *info)
{
        if (!info)
                return;
        free(info->name);
        free(info->id);
        free(info->driver);
        free(info->subnet);
        free(info->gateway);
        free(info->project);
        free(info->key);
        free(info->interface);
        free(info->subnet6);
        free(info->gateway6);
        strv_free(info->labels);
        strv_free(info->endpoints);
        free(info->damage);
        free(info);
}

void volume_info_free(VolumeInfo *info)
{
        if (!info)
                return;
        free(info->name);
        free(info->driver);
        free(info->path);
        free(info->project);
        free(info->key);
        strv_free(info->labels);
        strv_free(info->options);
        strv_free(info->used_by);
        free(info->written_by);
        free(info->damage);
        free(info);
}
