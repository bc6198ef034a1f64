#include "engine/local/capabilities.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/private.h"

/* By number, as in linux/capability.h. */
static const char *const names[] = {
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
};

/* Docker's default set. */
static const char *const defaults[] = {
        "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
        "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE",
};

int capability_number(const char *name)
{
        if (strncasecmp(name, "CAP_", 4) == 0)
                name += 4;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcasecmp(names[i], name) == 0)
                        return (int)i;
        return -1;
}

static bool is_all(const char *name)
{
        return strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0;
}

static uint64_t all_known(void)
{
        return (UINT64_C(1) << ARRAY_SIZE(names)) - 1;
}

static uint64_t ours(void)
{
        uint64_t set = 0;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
                        set |= UINT64_C(1) << i;
        return set;
}

static int mask_of(char *const *list, uint64_t *ret_mask, bool *ret_all, Error **err)
{
        STRV_FOREACH(name, list) {
                int number = is_all(*name) ? -1 : capability_number(*name);
                if (is_all(*name))
                        *ret_all = true;
                else if (number < 0)
                        return error_set(err, ERROR_INVALID, "there is no capability \"%s\"", *name);
                else
                        *ret_mask |= UINT64_C(1) << number;
        }
        return 0;
}

static void warn_missing(uint64_t missing, const EngineProgress *progress)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (missing & UINT64_C(1) << i) {
                        _cleanup_free_ char *text = xasprintf(
                                "capability %s is not available on this machine: going on without it", names[i]);
                        tell_warning(progress, text);
                }
}

int capabilities_resolve(const ContainerSpec *spec, const EngineProgress *progress, char ***ret, Error **err)
{
        uint64_t add = 0, drop = 0, set = 0, available = ours();
        bool add_all = false, drop_all = false;
        char **result = NULL;
        int r;

        r = mask_of(spec->cap_add, &add, &add_all, err);
        if (r >= 0)
                r = mask_of(spec->cap_drop, &drop, &drop_all, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
                set |= UINT64_C(1) << capability_number(defaults[i]);
        if (spec->privileged)
                set = all_known();
        else if (add_all)
                set = all_known() & ~drop;
        else
                set = ((drop_all ? 0 : set & ~drop) | add);
        if (!spec->privileged)
                warn_missing(add & ~available, progress);
        set &= available;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (set & UINT64_C(1) << i)
                        strv_addf(&result, "CAP_%s", names[i]);
        *ret = result;
        return 0;
}
