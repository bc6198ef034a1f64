/* The root file system of a host image: what beside /usr a Debian userland needs to run PostgreSQL, and nothing of what
 * makes the machine itself (no keys, no accounts, no service configuration). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/host.h"
#include "state/document.h"

#define COPY_LIMIT ((size_t)4 * 1024 * 1024)
#define SERVICE_ID 999

static const HostFolder base_folders[] = {
        { "boot", 0755, 0 },
        { "dev", 0755, 0 },
        { "etc", 0755, 0 },
        { "home", 0755, 0 },
        { "media", 0755, 0 },
        { "mnt", 0755, 0 },
        { "opt", 0755, 0 },
        { "proc", 0755, 0 },
        { "root", 0700, 0 },
        { "run", 0755, 0 },
        { "run/lock", 01777, 0 },
        { "srv", 0755, 0 },
        { "sys", 0755, 0 },
        { "tmp", 01777, 0 },
        { "usr", 0755, 0 },
        { "var", 0755, 0 },
        { "var/cache", 0755, 0 },
        { "var/lib", 0755, 0 },
        { "var/log", 0755, 0 },
        { "var/tmp", 01777, 0 },
        { "etc/alternatives", 0755, 0 },
        { "etc/pam.d", 0755, 0 },
        { "etc/security", 0755, 0 },
        { "etc/ssl", 0755, 0 },
        { "etc/ssl/certs", 0755, 0 },
        { "etc/ssl/private", 0711, 0 },
        { "etc/ld.so.conf.d", 0755, 0 },
        { "usr/local", 0755, 0 },
        { "usr/local/bin", 0755, 0 },
        { "usr/local/sbin", 0755, 0 },
        { "usr/local/lib", 0755, 0 },
        { "usr/local/etc", 0755, 0 },
        { "usr/local/share", 0755, 0 },
};

/* Of /usr, what programs need to run. /usr itself is the container's own, so that files can be mounted into /usr/local.
 */
static const char *const usr_folders[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share" };

/* Copied where the machine has them. */
static const char *const copied_files[] = {
        "etc/debian_version",  "etc/host.conf",   "etc/inputrc",      "etc/bash.bashrc", "etc/profile",
        "etc/shells",          "etc/services",    "etc/protocols",    "etc/rpc",         "etc/networks",
        "etc/gai.conf",        "etc/login.defs",  "etc/locale.alias", "etc/issue",       "etc/ld.so.conf",
        "etc/ssl/openssl.cnf", "etc/lsb-release",
};
static const char *const copied_folders[] = { "etc/pam.d", "etc/security", "etc/ld.so.conf.d" };

/* Links to be the same as the machine's: merged /usr, the time zone, the release's name. */
static const char *const copied_links[] = { "bin",    "sbin",           "lib",           "lib32",       "lib64",
                                            "libx32", "etc/os-release", "etc/localtime", "etc/timezone" };

void host_recipe_done(HostRecipe *recipe)
{
        free(recipe->name);
        free(recipe->cache_name);
        free(recipe->key);
        free(recipe->version);
        free(recipe->source_line);
        free(recipe->user_name);
        free(recipe->locale_folder);
        json_decref(recipe->config);
        json_decref(recipe->binds);
        free(recipe->folders);
        *recipe = (HostRecipe){ 0 };
}

bool host_usr_is_bound(const char *name)
{
        _cleanup_free_ char *path = path_join("/usr", name);
        struct stat status;

        return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

json_t *host_usr_binds(void)
{
        json_t *binds = json_array();

        for (size_t i = 0; i < ARRAY_SIZE(usr_folders); i++) {
                _cleanup_free_ char *path = path_join("/usr", usr_folders[i]);

                if (host_usr_is_bound(usr_folders[i]))
                        json_array_append_new(binds, json_pack("{s:s, s:s}", "source", path, "target", path));
        }
        return binds;
}

static int make_folders(const char *root, const HostFolder *folders, size_t length, Error **err)
{
        for (size_t i = 0; i < length; i++) {
                _cleanup_free_ char *path = path_join(root, folders[i].path);

                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return error_set_errno(err, errno, "make folder \"%s\"", path);
                /* The owner first: chown clears the set-group-id bit. */
                if (lchown(path, folders[i].owner, folders[i].owner) < 0 || chmod(path, folders[i].mode) < 0)
                        return error_set_errno(err, errno, "set owner and mode of \"%s\"", path);
        }
        return 0;
}

static int write_file(const char *root, const char *name, const char *text, size_t size, mode_t mode, Error **err)
{
        _cleanup_free_ char *path = path_join(root, name);
        int r = fs_rewrite_in_place(AT_FDCWD, path, text, size, mode, err);

        /* Whatever the caller's umask is: the container's users must be able to read it. */
        if (r == 0 && chmod(path, mode) < 0)
                r = error_set_errno(err, errno, "set mode of \"%s\"", path);
        return r;
}

static int write_text(const char *root, const char *name, const char *text, mode_t mode, Error **err)
{
        return write_file(root, name, text, strlen(text), mode, err);
}

/* Regular files only; one that is absent or unreadable is left out. */
static int copy_file(const char *root, const char *name, Error **err)
{
        _cleanup_free_ char *source = path_join("/", name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;

        if (stat(source, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        if (fs_read_file(AT_FDCWD, source, COPY_LIMIT, &text, NULL) < 0)
                return 0;
        return write_file(root, name, strbuf_text(&text), text.length, status.st_mode & 0755, err);
}

static int copy_folder(const char *root, const char *folder, Error **err)
{
        _cleanup_free_ char *source = path_join("/", folder);
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, source, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                int r = copy_file(root, path, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_link(const char *root, const char *name, Error **err)
{
        _cleanup_free_ char *source = path_join("/", name), *target = path_join(root, name), *pointee = NULL;

        if (fs_read_link(source, &pointee, NULL) < 0)
                return copy_file(root, name, err);
        if (symlink(pointee, target) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "link \"%s\"", target);
        return 0;
}

static int copy_from_machine(const char *root, Error **err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(copied_files); i++)
                r = copy_file(root, copied_files[i], err);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(copied_folders); i++)
                r = copy_folder(root, copied_folders[i], err);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(copied_links); i++)
                r = copy_link(root, copied_links[i], err);
        return r;
}

/* The distribution's own fixed accounts, and the image's user. */
static int write_accounts(const char *root, const char *user, Error **err)
{
        _cleanup_strbuf_ Strbuf passwd = STRBUF_INIT, group = STRBUF_INIT, shadow = STRBUF_INIT;
        int r;

        if (fs_read_file(AT_FDCWD, "/usr/share/base-passwd/passwd.master", COPY_LIMIT, &passwd, NULL) < 0)
                strbuf_adds(&passwd, "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/"
                                     "sbin/nologin\n");
        if (fs_read_file(AT_FDCWD, "/usr/share/base-passwd/group.master", COPY_LIMIT, &group, NULL) < 0)
                strbuf_adds(&group, "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
        strbuf_adds(&shadow, "root:*:19000:0:99999:7:::\n");
        if (user) {
                strbuf_addf(&passwd, "%s:x:%d:%d::/var/lib/%s:/bin/bash\n", user, SERVICE_ID, SERVICE_ID, user);
                strbuf_addf(&group, "%s:x:%d:\n", user, SERVICE_ID);
                strbuf_addf(&shadow, "%s:!:19000:0:99999:7:::\n", user);
        }
        r = write_file(root, "etc/passwd", strbuf_text(&passwd), passwd.length, 0644, err);
        if (r == 0)
                r = write_file(root, "etc/group", strbuf_text(&group), group.length, 0644, err);
        if (r == 0)
                r = write_file(root, "etc/shadow", strbuf_text(&shadow), shadow.length, 0640, err);
        return r;
}

static int write_configuration(const char *root, Error **err)
{
        static const struct {
                const char *name, *text;
        } files[] = {
                { "etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
                                       "protocols: files\nservices: files\n" },
                { "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" },
                { "etc/hostname", "" },
                { "etc/resolv.conf", "" },
                { "etc/fstab", "" },
                { "etc/ld.so.cache", "" },
                { "etc/environment", "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                int r = write_text(root, files[i].name, files[i].text, 0644, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The CA certificates: links into /usr/share as they are, the bundle and certificates of this machine's own by content.
 */
static int copy_certificates(const char *root, Error **err)
{
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, "/etc/ssl/certs", &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join("etc/ssl/certs", *name), *source = path_join("/", path),
                                    *target = NULL;
                bool is_link = fs_read_link(source, &target, NULL) == 0;
                int r;

                if (!is_link && !endswith(*name, ".crt"))
                        continue;
                r = is_link && (startswith(target, "/usr/share/") || !strchr(target, '/')) ? copy_link(root, path, err)
                                                                                           : copy_file(root, path, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Mount points for parts of /usr, or the machine's own links where it has links there. */
static int prepare_usr(const char *root, Error **err)
{
        for (size_t i = 0; i < ARRAY_SIZE(usr_folders); i++) {
                _cleanup_free_ char *name = path_join("usr", usr_folders[i]), *source = path_join("/", name);
                HostFolder folder = { name, 0755, 0 };
                int r = 0;

                if (host_usr_is_bound(usr_folders[i]))
                        r = make_folders(root, &folder, 1, err);
                else if (fs_exists(source))
                        r = copy_link(root, name, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int link_runtime(const char *root, Error **err)
{
        static const char *const links[][2] = { { "/run", "var/run" },
                                                { "/run/lock", "var/lock" },
                                                { "/proc/mounts", "etc/mtab" } };

        for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
                _cleanup_free_ char *path = path_join(root, links[i][1]);

                if (symlink(links[i][0], path) < 0 && errno != EEXIST)
                        return error_set_errno(err, errno, "link \"%s\"", path);
        }
        return 0;
}

/* Executed, the kernel starts the entrypoint at once, without a shell, which goes by the script's name; sourced by a
 * user's script, the first line is a comment and the functions of the official entrypoint follow. */
static int write_entrypoint_scripts(const char *root, Error **err)
{
        static const char *const names[] = { "docker-entrypoint.sh", "docker-ensure-initdb.sh",
                                             "docker-enforce-initdb.sh", "gosu" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = path_join("usr/local/bin", names[i]);
                _cleanup_free_ char *text =
                        xasprintf("#!/usr/local/bin/berth-entrypoint --script\n"
                                  "case \"${0##*/}\" in\n"
                                  "%s) exec /usr/local/bin/berth-entrypoint --script \"$0\" \"$@\" ;;\n"
                                  "*) . /usr/local/bin/entrypoint-functions.sh ;;\n"
                                  "esac\n",
                                  names[i]);
                int r = write_text(root, path, text, 0755, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* A bind over a file needs a file to be there. */
static int make_bind_targets(const char *root, const json_t *binds, Error **err)
{
        const json_t *bind;
        size_t i;

        json_array_foreach((json_t *)binds, i, bind) {
                int r = write_text(root, json_get_string(bind, "target", "/") + 1, "", 0755, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int make_tree(const char *root, const HostRecipe *recipe, Error **err)
{
        int r;

        r = make_folders(root, base_folders, ARRAY_SIZE(base_folders), err);
        if (r == 0)
                r = make_folders(root, recipe->folders, recipe->n_folders, err);
        if (r == 0)
                r = prepare_usr(root, err);
        if (r == 0)
                r = copy_from_machine(root, err);
        if (r == 0)
                r = copy_certificates(root, err);
        if (r == 0)
                r = write_accounts(root, recipe->user_name, err);
        if (r == 0)
                r = write_configuration(root, err);
        if (r == 0)
                r = link_runtime(root, err);
        if (r == 0)
                r = make_bind_targets(root, recipe->binds, err);
        if (r == 0 && recipe->user_name)
                r = write_entrypoint_scripts(root, err);
        return r;
}

int host_root_make(const char *folder, const HostRecipe *recipe, Error **err)
{
        _cleanup_free_ char *root = path_join(folder, "root");
        int r;

        r = fs_make_directories(root, 0755, err);
        if (r == 0 && (chmod(folder, 0755) < 0 || chmod(root, 0755) < 0))
                r = error_set_errno(err, errno, "chmod \"%s\"", folder);
        if (r == 0)
                r = make_tree(root, recipe, err);
        return r;
}
