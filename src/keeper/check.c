/* What would go wrong halfway is refused before anything changes. */
#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/strv.h"
#include "keeper/prepare.h"
#include "state/document.h"

static int check_files(const ContainerSpec *spec, Error **err)
{
        struct stat status;

        for (size_t i = 0; i < spec->n_files; i++) {
                const SpecFile *file = &spec->files[i];
                const char *what = file->secret ? "secret" : "config";
                if (!file->host_path)
                        continue;
                if (stat(file->host_path, &status) < 0) {
                        int r = error_set_errno(err, errno, "service \"%s\": %s file %s", spec->service, what,
                                                file->host_path);
                        return error_hint(err, r, "Make the file, or correct `file:` of the %s.", what);
                }
                if (!S_ISREG(status.st_mode) && file->in_memory)
                        return error_set(err, ERROR_INVALID, "service \"%s\": %s file %s is no regular file",
                                         spec->service, what, file->host_path);
        }
        return 0;
}

static int relative_target(const ContainerSpec *spec, const char *target, Error **err)
{
        int r = error_set(err, ERROR_INVALID, "service \"%s\": mount target \"%s\" is not an absolute path",
                          spec->service, target);

        /* As docker compose has it. */
        return target[0] && target[1] == ':' ? error_hint(err, r,
                                                          "A letter before a colon is read as a drive: give the "
                                                          "volume a longer name, or write the long form.")
                                             : r;
}

static int check_mounts(const ContainerSpec *spec, Error **err)
{
        struct stat status;

        for (size_t i = 0; i < spec->n_mounts; i++) {
                const SpecMount *mount = &spec->mounts[i];
                if (*mount->target != '/')
                        return relative_target(spec, mount->target, err);
                if (mount->kind != SPEC_MOUNT_BIND || mount->create_host_path || stat(mount->source, &status) == 0)
                        continue;
                return error_set(err, ERROR_NOT_FOUND, "service \"%s\": bind source path does not exist: %s",
                                 spec->service, mount->source);
        }
        return 0;
}

/* The container is going to be stopped or removed by this plan, so what it holds becomes free. */
static bool is_going(const Plan *plan, const ContainerInfo *container)
{
        for (size_t i = 0; i < plan->actions.length; i++) {
                const PlanAction *action = &plan->actions.items[i];
                if ((action->verb == PLAN_CONTAINER_STOP || action->verb == PLAN_CONTAINER_REMOVE) &&
                    streq_ptr(action->id, container->id))
                        return true;
        }
        return false;
}

static int check_name(const Preparation *preparation, const ContainerSpec *spec, Error **err)
{
        Engine *engine = preparation->parts.engine;
        _cleanup_(container_info_freep) ContainerInfo *holder = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r = engine->operations->container_inspect(engine, spec->name, &holder, &reason);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        if (!streq(holder->name, spec->name) || is_going(preparation->plan, holder))
                return 0;
        r = error_set(err, ERROR_CONFLICT,
                      "container name \"%s\" of service \"%s\" is taken by a container of project \"%s\"", spec->name,
                      spec->service, holder->project ? holder->project : "");
        return error_hint(err, r, "Change `container_name:`, or remove the other one with `berth -p %s down`.",
                          holder->project ? holder->project : "NAME");
}

static bool addresses_meet(const char *a, const char *b)
{
        bool any_a = isempty(a) || streq(a, "0.0.0.0") || streq(a, "::"),
             any_b = isempty(b) || streq(b, "0.0.0.0") || streq(b, "::");

        return any_a || any_b || streq(a, b);
}

/* Of a range another one may be free: that shows when it is tried. */
static bool ports_clash(const SpecPort *a, const SpecPort *b)
{
        return a->host_port && !a->host_port_last && !b->host_port_last && a->host_port == b->host_port &&
               a->udp == b->udp && addresses_meet(a->host_ip, b->host_ip);
}

static const SpecPort *find_clash(const ContainerSpec *a, const ContainerSpec *b)
{
        for (size_t i = 0; i < a->n_ports; i++)
                for (size_t k = 0; k < b->n_ports; k++)
                        if (ports_clash(&a->ports[i], &b->ports[k]))
                                return &a->ports[i];
        return NULL;
}

/* Ports that two containers of this very plan want. */
static int check_ports_within(const Preparation *preparation, size_t index, Error **err)
{
        const ContainerSpec *spec = preparation->plan->actions.items[index].spec;

        for (size_t i = 0; i < index; i++) {
                const ContainerSpec *other = preparation->plan->actions.items[i].spec;
                const SpecPort *port = other ? find_clash(spec, other) : NULL;
                if (port)
                        return error_set(err, ERROR_CONFLICT, "port %d is wanted by both %s and %s", port->host_port,
                                         other->name, spec->name);
        }
        return 0;
}

/* Ports that a container holds now which stays as it is, of whatever project. */
static int check_ports_of_others(const Preparation *preparation, const ContainerList *others, const ContainerSpec *spec,
                                 Error **err)
{
        for (size_t i = 0; i < others->length; i++) {
                const ContainerInfo *other = others->items[i];
                const SpecPort *port;
                int r;
                if (other->state != CONTAINER_RUNNING || !other->spec || is_going(preparation->plan, other))
                        continue;
                port = find_clash(spec, other->spec);
                if (!port)
                        continue;
                r = error_set(err, ERROR_CONFLICT,
                              "port %d of service \"%s\" is already published by container %s of project "
                              "\"%s\"",
                              port->host_port, spec->service, other->name, other->project ? other->project : "");
                return error_hint(err, r, "Publish another port, or bring that project down.");
        }
        return 0;
}

/* Ports that a program of this machine has. Those that a container of ours gives up first cannot be tried. */
static int check_ports_of_machine(const Preparation *preparation, const ContainerSpec *spec, Error **err)
{
        _cleanup_free_ SpecPort *ports = xnew_array(SpecPort, spec->n_ports + 1);
        size_t n_ports = 0;

        for (size_t i = 0; i < spec->n_ports; i++) {
                bool given_up = false;
                for (size_t k = 0; k < preparation->found.containers.length; k++) {
                        const ContainerInfo *container = preparation->found.containers.items[k];
                        for (size_t p = 0;
                             container->spec && container->state == CONTAINER_RUNNING && p < container->spec->n_ports;
                             p++)
                                given_up |= container->spec->ports[p].host_port == spec->ports[i].host_port;
                }
                if (spec->ports[i].host_port && !given_up)
                        ports[n_ports++] = spec->ports[i];
        }
        if (!n_ports || !preparation->parts.check_ports)
                return 0;
        return preparation->parts.check_ports(preparation->parts.layout, spec->name, ports, n_ports, err);
}

static int check_container(const Preparation *preparation, const ContainerList *others, size_t index, Error **err)
{
        const ContainerSpec *spec = preparation->plan->actions.items[index].spec;
        int r;

        r = check_files(spec, err);
        if (r >= 0)
                r = check_mounts(spec, err);
        if (r >= 0)
                r = check_name(preparation, spec, err);
        if (r >= 0)
                r = check_ports_within(preparation, index, err);
        if (r >= 0)
                r = check_ports_of_others(preparation, others, spec, err);
        if (r >= 0)
                r = check_ports_of_machine(preparation, spec, err);
        return r;
}

static bool runs_containers(const Plan *plan)
{
        for (size_t i = 0; i < plan->actions.length; i++)
                if (plan->actions.items[i].verb == PLAN_CONTAINER_CREATE ||
                    plan->actions.items[i].verb == PLAN_CONTAINER_START)
                        return true;
        return false;
}

static bool publishes_ports(const Plan *plan)
{
        for (size_t i = 0; i < plan->actions.length; i++)
                if (plan->actions.items[i].spec && plan->actions.items[i].spec->n_ports)
                        return true;
        return false;
}

static int check_action(const Preparation *preparation, const ContainerList *others, size_t index, Error **err)
{
        const PlanAction *action = &preparation->plan->actions.items[index];
        const KeeperParts *parts = &preparation->parts;

        if (action->network && parts->check_network)
                return parts->check_network(action->network, err);
        if (action->volume && parts->check_volume)
                return parts->check_volume(action->volume, err);
        return action->spec ? check_container(preparation, others, index, err) : 0;
}

int preparation_check(Preparation *preparation, Error **err)
{
        Engine *engine = preparation->parts.engine;
        _cleanup_container_list_ ContainerList others = { 0 };
        const Plan *plan = preparation->plan;
        int r = 0;

        if (runs_containers(plan) && !json_get_bool(preparation->params, "dry_run", false))
                r = engine->operations->probe(engine, err);
        if (r >= 0 && publishes_ports(plan))
                r = engine->operations->container_list(engine, NULL, &others, err);
        for (size_t i = 0; r >= 0 && i < plan->actions.length; i++)
                r = check_action(preparation, &others, i, err);
        return r;
}
