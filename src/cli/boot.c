/* enable, disable: the boot unit, which brings projects with a restart policy back after a reboot. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "cli/invocation.h"
#include "cli/verbs.h"

#define BOOT_UNIT     "berth.service"
#define SHUTDOWN_UNIT "berth-shutdown.service"

static int systemctl(const char *verb, const char *unit, const char *option, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        char *argv[] = { (char *)"systemctl", (char *)verb, (char *)"--quiet", (char *)unit, (char *)option, NULL };

        run.spec.argv = argv;
        run.timeout_ms = 60000;
        return process_run_checked(&run, &result, err);
}

static int switch_unit(const char *verb, Error **err)
{
        static const char *const places[] = { "/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
                                              "/usr/local/lib/systemd/system" };
        _cleanup_free_ char *program = process_find("systemctl");

        if (!program)
                return error_hint(err,
                                  error_set(err, ERROR_UNAVAILABLE,
                                            "%s the boot unit: there is no systemd on this machine", verb),
                                  "Let your init system run \"berth-keeper boot\" once the network is up, and "
                                  "\"berth-keeper halt\" before it goes down.");
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_free_ char *path = path_join(places[i], BOOT_UNIT);

                if (fs_exists(path))
                        return systemctl(verb, BOOT_UNIT, NULL, err);
        }
        return error_hint(err,
                          error_set(err, ERROR_NOT_FOUND, "%s the boot unit: berth.service is not installed", verb),
                          "\"make install\" installs it.");
}

static int run_enable(Invocation *invocation, Error **err)
{
        int r = switch_unit("enable", err);

        if (r >= 0) /* it acts at its end, so that it must have been started */
                r = systemctl("enable", SHUTDOWN_UNIT, "--now", err);
        if (r >= 0)
                printf("Projects with a restart policy come back after a reboot\n");
        return r;
}

static int run_disable(Invocation *invocation, Error **err)
{
        int r = switch_unit("disable", err);

        if (r >= 0)
                printf("Nothing is started after a reboot\n");
        return r;
}

const Command command_enable = {
        .name = "enable",
        .summary = "Bring projects back after a reboot",
        .details = "Switches the boot unit berth.service on. \"make install\" does so by itself. Containers whose "
                   "restart policy is always or unless-stopped, and which were not stopped by hand, are started again.",
        .group = GROUP_MACHINE,
        .flags = COMMAND_NEEDS_ROOT,
        .function = run_enable,
};

const Command command_disable = {
        .name = "disable",
        .summary = "Start nothing after a reboot",
        .details =
                "Switches the boot unit berth.service off. Containers are still stopped cleanly when the machine goes "
                "down: that is berth-shutdown.service's doing.",
        .group = GROUP_MACHINE,
        .flags = COMMAND_NEEDS_ROOT,
        .function = run_disable,
};
