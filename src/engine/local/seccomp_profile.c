#include "engine/local/seccomp_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "base/strv.h"
#include "state/document.h"

#define DEFAULT_PROFILE "/usr/share/containers/seccomp.json"
#define PROFILE_LIMIT   ((size_t)4 * 1024 * 1024)
/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET */
#define CLONE_NAMESPACES    0x7E020000
#define SOCKET_FAMILY_VSOCK 40
#define X32_SYSCALL_BIT     0x40000000L

/* What Docker's default profile allows only with one of these capabilities; the package's allows it always. */
static const struct Gate {
        const char *capabilities[3], *names[16];
} gates[] = {
        { { "CAP_SYS_ADMIN" },
          { "clone", "clone3", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
            "open_tree", "pivot_root", "setns", "umount", "umount2", "unshare" } },
        { { "CAP_SYS_ADMIN", "CAP_SYSLOG" }, { "syslog" } },
        { { "CAP_SYS_PTRACE" }, { "pidfd_getfd" } },
        { { "CAP_SYS_NICE" }, { "get_mempolicy", "mbind", "set_mempolicy" } },
        { { "CAP_SYS_BOOT" }, { "reboot" } },
        { { NULL }, { "keyctl" } },
};

#if defined(__x86_64__)
static const char *const native_names[] = { "amd64", "SCMP_ARCH_X86_64" };
#elif defined(__aarch64__)
static const char *const native_names[] = { "arm64", "SCMP_ARCH_AARCH64" };
#else
static const char *const native_names[] = { "", "" };
#endif

static bool array_has(const json_t *array, const char *text)
{
        size_t i;
        json_t *item;

        json_array_foreach((json_t *)array, i, item)
                if (json_is_string(item) && streq(json_string_value(item), text))
                        return true;
        return false;
}

static bool has_any_capability(const json_t *array, char *const *capabilities)
{
        STRV_FOREACH(name, capabilities)
                if (array_has(array, *name))
                        return true;
        return false;
}

static bool has_all_capabilities(const json_t *array, char *const *capabilities)
{
        size_t i;
        json_t *item;

        json_array_foreach((json_t *)array, i, item)
                if (!json_is_string(item) || !strv_contains(capabilities, json_string_value(item)))
                        return false;
        return true;
}

/* Docker's rule: every include must hold, no exclude may. */
static bool rule_applies(const json_t *rule, char *const *capabilities)
{
        const json_t *includes = json_object_get(rule, "includes"), *excludes = json_object_get(rule, "excludes");
        const json_t *arches = json_object_get(includes, "arches");

        if (json_array_size(arches) && !array_has(arches, native_names[0]))
                return false;
        if (!has_all_capabilities(json_object_get(includes, "caps"), capabilities))
                return false;
        if (array_has(json_object_get(excludes, "arches"), native_names[0]))
                return false;
        return !has_any_capability(json_object_get(excludes, "caps"), capabilities);
}

static bool gate_is_open(const struct Gate *gate, char *const *capabilities)
{
        for (size_t i = 0; i < ARRAY_SIZE(gate->capabilities) && gate->capabilities[i]; i++)
                if (strv_contains(capabilities, gate->capabilities[i]))
                        return true;
        return false;
}

static bool is_gated(const char *name, char *const *capabilities)
{
        for (const struct Gate *gate = gates; gate < gates + ARRAY_SIZE(gates); gate++)
                for (size_t i = 0; i < ARRAY_SIZE(gate->names) && gate->names[i]; i++)
                        if (streq(gate->names[i], name))
                                return !gate_is_open(gate, capabilities);
        return false;
}

/* The names of a rule without the gated ones. */
static json_t *names_of(const json_t *rule, bool tighten, char *const *capabilities)
{
        json_t *names = json_object_get(rule, "names"), *kept = json_array(), *name;
        bool allows = streq(json_get_string(rule, "action", ""), "SCMP_ACT_ALLOW");
        size_t i;

        json_array_foreach(names, i, name)
                if (json_is_string(name) && !(tighten && allows && is_gated(json_string_value(name), capabilities)))
                        json_array_append(kept, name);
        if (json_is_string(json_object_get(rule, "name")))
                json_array_append(kept, json_object_get(rule, "name"));
        return kept;
}

static json_t *resolve_rule(const json_t *rule, bool tighten, char *const *capabilities)
{
        json_t *names = names_of(rule, tighten, capabilities), *args = json_object_get(rule, "args");
        json_t *resolved = json_pack("{s:o}", "names", names);

        json_object_set(resolved, "action", json_object_get(rule, "action"));
        if (json_is_integer(json_object_get(rule, "errnoRet")))
                json_object_set(resolved, "errnoRet", json_object_get(rule, "errnoRet"));
        if (json_array_size(args))
                json_object_set(resolved, "args", args);
        else if (tighten && array_has(names, "socket") && json_array_size(names) == 1)
                json_object_set_new(
                        resolved, "args",
                        json_pack("[{s:i,s:i,s:s}]", "index", 0, "value", SOCKET_FAMILY_VSOCK, "op", "SCMP_CMP_NE"));
        return resolved;
}

/* clone without new namespaces stays; clone3 hides its flags from a filter, so that it is told to be missing (the
 * default action) and libc falls back on clone; the rest is refused as Docker does. */
static void add_gated_rules(json_t *rules, char *const *capabilities)
{
        json_t *refused = json_array();

        for (const struct Gate *gate = gates; gate < gates + ARRAY_SIZE(gates); gate++)
                for (size_t i = 0; i < ARRAY_SIZE(gate->names) && gate->names[i]; i++)
                        if (!gate_is_open(gate, capabilities) && !startswith(gate->names[i], "clone"))
                                json_array_append_new(refused, json_string(gate->names[i]));
        if (json_array_size(refused))
                json_array_append_new(rules, json_pack("{s:O,s:s,s:i}", "names", refused, "action", "SCMP_ACT_ERRNO",
                                                       "errnoRet", EPERM));
        json_decref(refused);
        if (is_gated("clone", capabilities))
                json_array_append_new(rules, json_pack("{s:[s],s:s,s:[{s:i,s:I,s:i,s:s}]}", "names", "clone", "action",
                                                       "SCMP_ACT_ALLOW", "args", "index", 0, "value",
                                                       (json_int_t)CLONE_NAMESPACES, "valueTwo", 0, "op",
                                                       "SCMP_CMP_MASKED_EQ"));
}

/* Most kernels are built without x32. Its part of the filter then guards what no program can call, and is a third of what
 * the runtime spends on every start; without it such a call ends the caller instead of failing. */
static bool kernel_has_x32(void)
{
#ifdef __x86_64__
        return syscall(X32_SYSCALL_BIT | SYS_getpid) >= 0 || errno != ENOSYS;
#else
        return true;
#endif
}

static json_t *without_x32(json_t *list)
{
        for (size_t i = json_array_size(list); i-- > 0;)
                if (streq(json_string_value(json_array_get(list, i)), "SCMP_ARCH_X32"))
                        json_array_remove(list, i);
        return list;
}

static json_t *architectures_of(const json_t *profile)
{
        json_t *map = json_object_get(profile, "archMap"), *entry, *given = json_object_get(profile, "architectures");
        json_t *list = json_array();
        size_t i;

        if (json_is_array(given)) {
                json_decref(list);
                return json_incref(given);
        }
        json_array_append_new(list, json_string(native_names[1]));
        json_array_foreach(map, i, entry)
                if (streq(json_get_string(entry, "architecture", ""), native_names[1]))
                        json_array_extend(list, json_object_get(entry, "subArchitectures"));
        return kernel_has_x32() ? list : without_x32(list);
}

static json_t *resolve(const json_t *profile, bool tighten, char *const *capabilities)
{
        json_t *rules = json_array(), *rule;
        json_t *resolved = json_pack("{s:O,s:o,s:O}", "defaultAction", json_object_get(profile, "defaultAction"),
                                     "architectures", architectures_of(profile), "syscalls", rules);
        size_t i;

        if (json_is_integer(json_object_get(profile, "defaultErrnoRet")))
                json_object_set(resolved, "defaultErrnoRet", json_object_get(profile, "defaultErrnoRet"));
        if (json_is_array(json_object_get(profile, "flags")))
                json_object_set(resolved, "flags", json_object_get(profile, "flags"));
        json_array_foreach(json_object_get(profile, "syscalls"), i, rule) {
                json_t *item = rule_applies(rule, capabilities) ? resolve_rule(rule, tighten, capabilities) : NULL;
                if (item && json_array_size(json_object_get(item, "names")))
                        json_array_append(rules, item);
                json_decref(item);
        }
        if (tighten)
                add_gated_rules(rules, capabilities);
        json_decref(rules);
        return resolved;
}

static int load_and_resolve(const char *path, bool is_default, char *const *capabilities, json_t **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *profile = NULL;
        json_error_t failure;
        int r;

        r = fs_read_file(AT_FDCWD, path, PROFILE_LIMIT, &text, err);
        if (r < 0)
                return error_prefix(err, r, "seccomp profile");
        profile = json_loadb(strbuf_text(&text), text.length, 0, &failure);
        if (!profile)
                return error_set_at(err, ERROR_INVALID, path, failure.line, failure.column, "seccomp profile: %s",
                                    failure.text);
        if (!json_is_string(json_object_get(profile, "defaultAction")))
                return error_set_at(err, ERROR_INVALID, path, 1, 1, "seccomp profile without a defaultAction");
        *ret = resolve(profile, is_default, capabilities);
        return 0;
}

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static Strmap cache = STRMAP_INIT;

/* Keeps filter, which it takes, for the life of the process; the one that is there already where another thread was first. */
static json_t *keep_filter(const char *key, json_t *filter)
{
        json_t *kept;

        pthread_mutex_lock(&cache_lock);
        kept = strmap_get(&cache, key);
        if (!kept) {
                strmap_set(&cache, key, filter);
                kept = filter;
        } else
                json_decref(filter);
        pthread_mutex_unlock(&cache_lock);
        return kept;
}

int seccomp_resolve(const char *path, char *const *capabilities, json_t **ret, Error **err)
{
        _cleanup_free_ char *key = strv_join(capabilities, ",");
        json_t *kept, *filter = NULL;
        int r;

        if (path)
                return load_and_resolve(path, false, capabilities, ret, err);
        pthread_mutex_lock(&cache_lock);
        kept = strmap_get(&cache, key);
        pthread_mutex_unlock(&cache_lock);
        if (!kept) {
                if (!fs_exists(DEFAULT_PROFILE)) {
                        *ret = NULL;
                        return 0;
                }
                r = load_and_resolve(DEFAULT_PROFILE, true, capabilities, &filter, err);
                if (r < 0)
                        return r;
                kept = keep_filter(key, filter);
        }
        *ret = json_deep_copy(kept);
        return 0;
}
