#include "engine/local/seccomp_program.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"

static const struct {
        const char *name;
        uint32_t architecture;
} architectures[] = {
        { "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 }, { "SCMP_ARCH_X86", SCMP_ARCH_X86 },
        { "SCMP_ARCH_X32", SCMP_ARCH_X32 },       { "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
        { "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
};

static const struct {
        const char *name;
        enum scmp_compare comparison;
} comparisons[] = {
        { "SCMP_CMP_NE", SCMP_CMP_NE },
        { "SCMP_CMP_LT", SCMP_CMP_LT },
        { "SCMP_CMP_LE", SCMP_CMP_LE },
        { "SCMP_CMP_EQ", SCMP_CMP_EQ },
        { "SCMP_CMP_GE", SCMP_CMP_GE },
        { "SCMP_CMP_GT", SCMP_CMP_GT },
        { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

static bool action_of(const char *name, int64_t error_number, uint32_t *ret)
{
        if (streq(name, "SCMP_ACT_ALLOW"))
                *ret = SCMP_ACT_ALLOW;
        else if (streq(name, "SCMP_ACT_ERRNO"))
                *ret = SCMP_ACT_ERRNO((uint32_t)error_number);
        else if (streq(name, "SCMP_ACT_KILL") || streq(name, "SCMP_ACT_KILL_THREAD"))
                *ret = SCMP_ACT_KILL;
        else if (streq(name, "SCMP_ACT_KILL_PROCESS"))
                *ret = SCMP_ACT_KILL_PROCESS;
        else if (streq(name, "SCMP_ACT_LOG"))
                *ret = SCMP_ACT_LOG;
        else
                return false; /* traps and notifications need the runtime */
        return true;
}

static bool argument_of(const json_t *json, struct scmp_arg_cmp *ret)
{
        const char *name = json_get_string(json, "op", "");

        for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++)
                if (streq(comparisons[i].name, name)) {
                        *ret = (struct scmp_arg_cmp){ (unsigned)json_get_int(json, "index", 0),
                                                      comparisons[i].comparison,
                                                      (scmp_datum_t)json_get_int(json, "value", 0),
                                                      (scmp_datum_t)json_get_int(json, "valueTwo", 0) };
                        return true;
                }
        return false;
}

static int add_rule(scmp_filter_ctx filter, const json_t *rule, uint32_t fallback, Error **err)
{
        const json_t *names = json_object_get(rule, "names"), *arguments = json_object_get(rule, "args"), *item;
        struct scmp_arg_cmp compared[6];
        uint32_t action;
        size_t i, n = 0;

        if (!action_of(json_get_string(rule, "action", ""), json_get_int(rule, "errnoRet", EPERM), &action))
                return error_set(err, ERROR_UNSUPPORTED, "seccomp action \"%s\"", json_get_string(rule, "action", ""));
        if (action == fallback)
                return 0;
        json_array_foreach((json_t *)arguments, i, item)
                if (n == ARRAY_SIZE(compared) || !argument_of(item, &compared[n++]))
                        return error_set(err, ERROR_UNSUPPORTED, "seccomp arguments");
        json_array_foreach((json_t *)names, i, item) {
                int number = seccomp_syscall_resolve_name(json_string_value(item)), r;
                if (number == __NR_SCMP_ERROR)
                        continue; /* another architecture's, or newer than the library */
                r = seccomp_rule_add_array(filter, action, number, (unsigned)n, compared);
                if (r < 0 && r != -EINVAL && r != -EDOM && r != -EEXIST)
                        return error_set_errno(err, -r, "seccomp rule for %s", json_string_value(item));
        }
        return 0;
}

static int add_architectures(scmp_filter_ctx filter, const json_t *list, Error **err)
{
        const json_t *item;
        size_t i;

        json_array_foreach((json_t *)list, i, item)
                for (size_t k = 0; k < ARRAY_SIZE(architectures); k++) {
                        int r = streq(architectures[k].name, json_string_value(item))
                                        ? seccomp_arch_add(filter, architectures[k].architecture)
                                        : 0;
                        if (r < 0 && r != -EEXIST)
                                return error_set_errno(err, -r, "seccomp architecture %s", architectures[k].name);
                }
        return 0;
}

static void releasep(scmp_filter_ctx *filter)
{
        if (*filter)
                seccomp_release(*filter);
}

static int export_program(const json_t *section, int fd, Error **err)
{
        _cleanup_(releasep) scmp_filter_ctx filter = NULL;
        const json_t *rule;
        uint32_t fallback;
        size_t i;
        int r;

        if (!action_of(json_get_string(section, "defaultAction", ""), json_get_int(section, "defaultErrnoRet", EPERM),
                       &fallback))
                return error_set(err, ERROR_UNSUPPORTED, "seccomp default action");
        filter = seccomp_init(fallback);
        if (!filter)
                return error_set(err, ERROR_INTERNAL, "seccomp filter");
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        r = add_architectures(filter, json_object_get(section, "architectures"), err);
        json_array_foreach(json_object_get(section, "syscalls"), i, rule)
                if (r >= 0)
                        r = add_rule(filter, rule, fallback, err);
        if (r < 0)
                return r;
        r = seccomp_export_bpf(filter, fd);
        return r < 0 ? error_set_errno(err, -r, "compile a seccomp filter") : 0;
}

int seccomp_program_make(const Layout *layout, const json_t *section, Error **err)
{
        _cleanup_free_ char *path = seccomp_program_path(layout, section), *temporary = NULL,
                            *folder = path_dirname(path);
        _cleanup_close_ int fd = -1;
        int r;

        if (fs_exists(path))
                return 0;
        r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        temporary = xasprintf("%s.%d.tmp", path, (int)gettid());
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set_errno(err, errno, "create \"%s\"", temporary);
        r = export_program(section, fd, err);
        if (r >= 0 && rename(temporary, path) < 0)
                r = error_set_errno(err, errno, "rename to \"%s\"", path);
        if (r < 0)
                unlink(temporary);
        return r;
}
