/* Drives networks of the local engine from tests: one call a run, JSON in and out.
 *
 *   network-tool create NAME [PROJECT [internal|ipv6|-] [SUBNET]]
 *   network-tool remove|inspect NAME
 *   network-tool attach SPEC-JSON ID RUN-DIR      prints the result, then holds it until standard input ends
 *   network-tool detach ID RUN-DIR
 *   network-tool recover [LIVE-ID…]
 *   network-tool refresh|objects|prune|watch
 *   network-tool check SPEC-JSON
 *   network-tool bench NETWORK COUNT [HOST-IP]    attaches and detaches, one by one and all at once; prints milliseconds */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/network.h"
#include "state/document.h"

static void warn(void *context, const char *text)
{
        fprintf(stderr, "warning: %s\n", text);
}

static const EngineProgress progress = { .warning = warn, .cancel_fd = -1 };

static int create(const Layout *layout, int argc, char **argv, Error **err)
{
        NetworkPool pool = { .subnet = argc > 5 ? argv[5] : NULL };
        NetworkSpec spec = { .name = argv[2],
                             .project = argc > 3 ? argv[3] : NULL,
                             .pools = &pool,
                             .n_pools = argc > 5,
                             .internal = argc > 4 && strstr(argv[4], "internal"),
                             .enable_ipv6 = argc > 4 && strstr(argv[4], "ipv6") };

        return local_network_create(layout, &spec, &progress, err);
}

static int load_spec(const char *text, ContainerSpec **ret, Error **err)
{
        _cleanup_json_ json_t *json = json_loads(text, 0, NULL);

        return json ? container_spec_from_json(json, ret, err) : error_set(err, ERROR_USAGE, "not JSON: %s", text);
}

static void print_result(const LocalNetworkResult *result, int64_t took_ns)
{
        printf("{\"ms\": %.3f, \"addresses\": [", (double)took_ns / 1e6);
        for (size_t i = 0; i < result->n_addresses; i++)
                printf("%s{\"network\": \"%s\", \"ipv4\": \"%s\", \"ipv6\": \"%s\"}", i ? ", " : "",
                       result->addresses[i].network, result->addresses[i].ipv4,
                       result->addresses[i].ipv6 ? result->addresses[i].ipv6 : "");
        printf("], \"ports\": [");
        for (size_t i = 0; i < result->n_ports; i++)
                printf("%s{\"host_ip\": \"%s\", \"host_port\": %u}", i ? ", " : "", result->ports[i].host_ip,
                       result->ports[i].host_port);
        printf("]}\n");
        fflush(stdout);
}

static int attach(const Layout *layout, char **argv, Error **err)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        _cleanup_local_network_result_ LocalNetworkResult result = { 0 };
        int64_t begin_ns;
        char c;
        int r = load_spec(argv[2], &spec, err);

        if (r < 0)
                return r;
        r = fs_make_directories(argv[4], 0711, err);
        begin_ns = clock_monotonic_ns();
        if (r == 0)
                r = local_network_attach(layout, spec, argv[3], argv[4], &progress, &result, err);
        if (r < 0)
                return r;
        print_result(&result, clock_monotonic_ns() - begin_ns);
        while (read(STDIN_FILENO, &c, 1) > 0)
                ;
        return 0;
}

static int check(const Layout *layout, char **argv, Error **err)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        int r = load_spec(argv[2], &spec, err);

        return r < 0 ? r : local_network_check(layout, spec, err);
}

static int inspect(const Layout *layout, const char *name, Error **err)
{
        _cleanup_(network_info_freep) NetworkInfo *info = NULL;
        int r = local_network_inspect(layout, name, &info, err);

        if (r < 0)
                return r;
        printf("{\"subnet\": \"%s\", \"gateway\": \"%s\", \"interface\": \"%s\", \"subnet6\": \"%s\"}\n", info->subnet,
               info->gateway, info->interface, info->subnet6 ? info->subnet6 : "");
        return 0;
}

typedef struct Job {
        const Layout *layout;
        char *network;
        int number;
        bool failed;
        char *host_ip;
        int64_t took_ns;
        LocalNetworkResult result;
} Job;

static void *bench_attach(void *argument)
{
        Job *job = argument;
        _cleanup_free_ char *name = xasprintf("bench-%d", job->number), *id = xasprintf("%064d", job->number);
        _cleanup_free_ char *directory = layout_run(job->layout, "projects/bench/containers/%s", id);
        _cleanup_error_ Error *error = NULL;
        char project[] = "bench";
        SpecNetwork network = { .network = job->network };
        SpecPort port = { .host_ip = job->host_ip, .container_port = 5432 };
        int64_t begin_ns = clock_monotonic_ns();
        ContainerSpec spec = {
                .name = name, .project = project, .networks = &network, .n_networks = 1, .ports = &port, .n_ports = 1
        };

        fs_make_directories(directory, 0711, NULL);
        job->failed = local_network_attach(job->layout, &spec, id, directory, &progress, &job->result, &error) < 0;
        if (error)
                fprintf(stderr, "%s\n", error->message);
        job->took_ns = clock_monotonic_ns() - begin_ns;
        return NULL;
}

static void *bench_detach(void *argument)
{
        Job *job = argument;
        _cleanup_free_ char *id = xasprintf("%064d", job->number);
        _cleanup_free_ char *directory = layout_run(job->layout, "projects/bench/containers/%s", id);

        job->failed = local_network_detach(job->layout, NULL, id, directory, NULL) < 0;
        local_network_result_done(&job->result);
        return NULL;
}

static int compare_jobs(const void *a, const void *b)
{
        const Job *x = a, *y = b;

        return (x->took_ns > y->took_ns) - (x->took_ns < y->took_ns);
}

static double bench_round(Job *jobs, int count, bool parallel, void *(*what)(void *))
{
        _cleanup_free_ pthread_t *threads = xnew_array(pthread_t, (size_t)count);
        int64_t begin_ns = clock_monotonic_ns();

        for (int i = 0; i < count; i++)
                if (!parallel || pthread_create(&threads[i], NULL, what, &jobs[i]) != 0)
                        what(&jobs[i]);
        for (int i = 0; parallel && i < count; i++)
                pthread_join(threads[i], NULL);
        return (double)(clock_monotonic_ns() - begin_ns) / 1e6;
}

static int bench(const Layout *layout, char **argv, Error **err)
{
        int count = atoi(argv[3]);
        _cleanup_free_ Job *jobs = xnew_array(Job, (size_t)count);

        for (int i = 0; i < count; i++)
                jobs[i] = (Job){ .layout = layout, .network = argv[2], .number = i + 1, .host_ip = argv[4] };
        for (int parallel = 0; parallel < 2; parallel++) {
                double attach_ms = bench_round(jobs, count, parallel, bench_attach);
                double median_ms, detach_ms;

                qsort(jobs, (size_t)count, sizeof(*jobs), compare_jobs);
                median_ms = (double)jobs[count / 2].took_ns / 1e6;
                detach_ms = bench_round(jobs, count, parallel, bench_detach);

                printf("%s: attach %.1f ms each (median %.1f), detach %.1f ms each\n",
                       parallel ? "all at once" : "one by one", attach_ms / count, median_ms, detach_ms / count);
        }
        return 0;
}

static int show_objects(const Layout *layout, bool prune, Error **err)
{
        _cleanup_local_network_objects_ LocalNetworkObjects objects = { 0 };
        int r = prune ? local_network_prune(layout, &objects, err) : local_network_objects(layout, &objects, err);

        for (size_t i = 0; r == 0 && i < objects.length; i++)
                printf("%s %s: %s\n", objects.items[i].kind, objects.items[i].name,
                       objects.items[i].owner ? objects.items[i].owner : "nobody");
        return r;
}

/* Prints a line whenever others changed the rules, until standard input ends. */
static int watch(const Layout *layout, Error **err)
{
        int fd, r = local_network_watch_fd(&fd, err);

        for (;;) {
                struct pollfd pollers[] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };

                if (r < 0 || poll(pollers, 2, -1) < 0 || pollers[1].revents)
                        return r;
                if (local_network_watch_read(layout, fd)) {
                        puts("changed");
                        fflush(stdout);
                }
        }
}

static int call(const Layout *layout, int argc, char **argv, Error **err)
{
        const char *verb = argv[1];

        if (streq(verb, "create") && argc > 2)
                return create(layout, argc, argv, err);
        if (streq(verb, "remove") && argc > 2)
                return local_network_remove(layout, argv[2], err);
        if (streq(verb, "inspect") && argc > 2)
                return inspect(layout, argv[2], err);
        if (streq(verb, "attach") && argc > 4)
                return attach(layout, argv, err);
        if (streq(verb, "check") && argc > 2)
                return check(layout, argv, err);
        if (streq(verb, "detach") && argc > 3)
                return local_network_detach(layout, NULL, argv[2], argv[3], err);
        if (streq(verb, "recover"))
                return local_network_recover(layout, NULL, argv + 2, &progress, err);
        if (streq(verb, "bench") && argc > 3)
                return bench(layout, argv, err);
        if (streq(verb, "objects") || streq(verb, "prune"))
                return show_objects(layout, streq(verb, "prune"), err);
        if (streq(verb, "watch"))
                return watch(layout, err);
        if (streq(verb, "refresh"))
                return local_network_refresh(layout, err);
        return error_set(err, ERROR_USAGE, "unknown call \"%s\"", verb);
}

int main(int argc, char **argv)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        _cleanup_error_ Error *error = NULL;
        int r = argc < 2 ? error_set(&error, ERROR_USAGE, "no call") : layout_prepare(layout, &error);

        if (r == 0)
                r = call(layout, argc, argv, &error);
        if (r == 0)
                return 0;
        fprintf(stderr, "%s: %s\n", error_kind_name(error->kind), error->message);
        if (error->hint)
                fprintf(stderr, "hint: %s\n", error->hint);
        return 1;
}
