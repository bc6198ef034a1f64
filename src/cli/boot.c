/* enable, disable: the boot unit, which brings projects with a restart policy back after a reboot. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "cli/invocation.h"
#include "cli/verbs.h"
#include "state/layout.h"

#define UNIT_PATH "/etc/systemd/system/berth.service"

static const char unit_template[] =
        "[Unit]\n"
        "Description=Berth: bring projects back after a reboot\n"
        "Documentation=man:berth(1)\n"
        "After=network-online.target nftables.service docker.service firewalld.service\n"
        "Wants=network-online.target\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "RemainAfterExit=yes\n"
        "ExecStart=%s boot\n"
        "# Keepers and containers go on when the unit is stopped or restarted.\n"
        "KillMode=process\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n";

static int systemctl(const char *verb, const char *option, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        char *argv[] = { (char *)"systemctl", (char *)verb, (char *)(option ?: "berth.service"),
                         option ? (char *)"berth.service" : NULL, NULL };

        if (streq(verb, "daemon-reload"))
                argv[2] = NULL;
        run.spec.argv = argv;
        run.timeout_ms = 60000;
        return process_run_checked(&run, &result, err);
}

static int check_systemd(Error **err)
{
        if (fs_is_directory("/run/systemd/system"))
                return 0;
        return error_hint(err, error_set(err, ERROR_UNAVAILABLE, "systemd does not run on this machine"),
                          "Let your init system run \"berth-keeper boot\" once after the network is up.");
}

static bool unit_is_installed(void)
{
        return fs_exists(UNIT_PATH) || fs_exists("/usr/lib/systemd/system/berth.service") ||
               fs_exists("/lib/systemd/system/berth.service") || fs_exists("/usr/local/lib/systemd/system/berth.service");
}

static int install_unit(const Layout *layout, Error **err)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-keeper");
        _cleanup_free_ char *text = xasprintf(unit_template, program);
        int r;

        r = fs_write_file(AT_FDCWD, UNIT_PATH, text, strlen(text), 0644, err);
        return r < 0 ? r : systemctl("daemon-reload", NULL, err);
}

static int run_enable(Invocation *invocation, Error **err)
{
        int r = check_systemd(err);

        if (r >= 0 && !unit_is_installed())
                r = install_unit(invocation->layout, err);
        if (r >= 0)
                r = systemctl("enable", "--quiet", err);
        if (r >= 0)
                printf("Projects with a restart policy come back after a reboot\n");
        return r;
}

static int run_disable(Invocation *invocation, Error **err)
{
        int r = check_systemd(err);

        if (r >= 0 && unit_is_installed())
                r = systemctl("disable", "--quiet", err);
        if (r >= 0)
                printf("Nothing is started after a reboot\n");
        return r;
}

const Command command_enable = {
        .name = "enable",
        .summary = "Bring projects back after a reboot",
        .details = "Switches the boot unit berth.service on. \"make install\" does so by itself. Containers whose restart policy is always "
                   "or unless-stopped, and which were not stopped by hand, are started again.",
        .group = GROUP_MACHINE,
        .flags = COMMAND_NEEDS_ROOT,
        .function = run_enable,
};

const Command command_disable = {
        .name = "disable",
        .summary = "Start nothing after a reboot",
        .group = GROUP_MACHINE,
        .flags = COMMAND_NEEDS_ROOT,
        .function = run_disable,
};
