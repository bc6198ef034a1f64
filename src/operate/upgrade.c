#include "operate/upgrade.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"

#define RECORD_FORMAT 1
#define SUFFIX        ".upgrade.json"
#define INIT_FILES    "/docker-entrypoint-initdb.d"

static const char *const phases[_UPGRADE_PHASE_MAX] = { "copying", "switching", "switched", "returning", "returned" };

typedef struct TextMember {
        const char *name;
        size_t offset;
} TextMember;

static const TextMember members[] = {
        { "project", offsetof(UpgradeRecord, project) },       { "service", offsetof(UpgradeRecord, service) },
        { "volume", offsetof(UpgradeRecord, volume) },         { "kept", offsetof(UpgradeRecord, kept) },
        { "old_folder", offsetof(UpgradeRecord, old_folder) }, { "new_folder", offsetof(UpgradeRecord, new_folder) },
        { "old_image", offsetof(UpgradeRecord, old_image) },   { "new_image", offsetof(UpgradeRecord, new_image) },
        { "old_target", offsetof(UpgradeRecord, old_target) }, { "new_target", offsetof(UpgradeRecord, new_target) },
};

static char **text_member(const UpgradeRecord *record, size_t i)
{
        return (char **)((char *)record + members[i].offset);
}

void upgrade_record_done(UpgradeRecord *record)
{
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                free(*text_member(record, i));
        *record = (UpgradeRecord){ 0 };
}

static char *record_path(const Layout *layout, const char *volume)
{
        return layout_data(layout, "databases/%s" SUFFIX, volume);
}

static void record_from_json(const json_t *json, UpgradeRecord *ret)
{
        const char *phase = json_get_string(json, "phase", phases[UPGRADE_COPYING]);

        *ret = (UpgradeRecord){ .from = (int)json_get_int(json, "from", 0), .to = (int)json_get_int(json, "to", 0) };
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                *text_member(ret, i) = xstrdup(json_get_string(json, members[i].name, ""));
        for (int i = 0; i < _UPGRADE_PHASE_MAX; i++)
                if (streq(phase, phases[i]))
                        ret->phase = i;
}

int upgrade_record_find(const Layout *layout, const char *project, const char *service, UpgradeRecord *ret, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "databases");
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                _cleanup_json_ json_t *json = NULL;
                int r;

                if (!endswith(*name, SUFFIX))
                        continue;
                r = document_load(path, RECORD_FORMAT, &json, err);
                if (r < 0)
                        return r;
                if (!streq(json_get_string(json, "project", ""), project) ||
                    !streq(json_get_string(json, "service", ""), service))
                        continue;
                record_from_json(json, ret);
                return 0;
        }
        return error_set(err, ERROR_NOT_FOUND, "there is no upgrade of service \"%s\" to go back on", service);
}

int upgrade_record_save(const Layout *layout, const UpgradeRecord *record, Error **err)
{
        _cleanup_free_ char *path = record_path(layout, record->volume), *folder = layout_data(layout, "databases");
        _cleanup_json_ json_t *json =
                json_pack("{s:s, s:i, s:i}", "phase", phases[record->phase], "from", record->from, "to", record->to);
        int r = fs_make_directories(folder, 0700, err);

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                json_set_string(json, members[i].name, *text_member(record, i));
        return r < 0 ? r : document_save(path, RECORD_FORMAT, json, err);
}

int upgrade_record_remove(const Layout *layout, const UpgradeRecord *record, Error **err)
{
        _cleanup_free_ char *path = record_path(layout, record->volume), *folder = layout_data(layout, "databases");

        if (unlink(path) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove \"%s\"", path);
        return fs_sync_directory(AT_FDCWD, folder, err);
}

int upgrade_major_of_folder(const char *folder)
{
        _cleanup_free_ char *path = path_join(folder, "PG_VERSION");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, path, 64, &text, NULL) == 0 ? atoi(strbuf_text(&text)) : 0;
}

int upgrade_major_in_place(const Layout *layout, const UpgradeRecord *record)
{
        _cleanup_free_ char *root = layout_data(layout, "volumes/%s/_data", record->volume);
        _cleanup_free_ char *new_folder = path_join(root, record->new_folder),
                            *old_folder = path_join(root, record->old_folder);
        int major = upgrade_major_of_folder(new_folder);

        return major ? major : upgrade_major_of_folder(old_folder);
}

/* What stands behind the last colon, if that is a tag's; NULL. */
static const char *tag_of(const char *image)
{
        const char *colon = strrchr(image, ':'), *slash = strrchr(image, '/');

        return colon && !strchr(image, '@') && (!slash || colon > slash) ? colon + 1 : NULL;
}

int upgrade_image_major(const char *image)
{
        const char *tag = tag_of(image);
        size_t digits = tag ? strspn(tag, "0123456789") : 0;

        return digits > 0 && digits < 4 && (!tag[digits] || strchr(".-", tag[digits])) ? atoi(tag) : 0;
}

char *upgrade_image_for(const char *image, int major)
{
        const char *tag = tag_of(image);

        if (!upgrade_image_major(image))
                return NULL;
        return xasprintf("%.*s%d%s", (int)(tag - image), image, major, tag + strcspn(tag, "-"));
}

/* ---- the model of the server beside ---- */

static bool is_init_files(const json_t *mount)
{
        const char *rest = startswith(json_get_string(mount, "target", ""), INIT_FILES);

        return rest && (!*rest || *rest == '/');
}

/* The user's arguments stay, so that settings the new major does not know show before anything is switched. A command
 * that is no server's start is left out. What it writes until the switch is synced afterwards, as a whole. */
static json_t *server_command(const json_t *service)
{
        static const char *const settings[] = { "listen_addresses=", "fsync=off", "synchronous_commit=off",
                                                "autovacuum=off", "archive_mode=off" };
        const json_t *command = json_object_get(service, "command");
        const char *first = json_string_value(json_array_get(command, 0));
        json_t *words = json_array();

        if (first && (streq(first, "postgres") || *first == '-'))
                json_array_extend(words, (json_t *)command);
        else
                json_array_append_new(words, json_string("postgres"));
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                json_array_append_new(words, json_string("-c"));
                json_array_append_new(words, json_string(settings[i]));
        }
        return words;
}

static void change_service(json_t *service, const UpgradeRecord *record, const char *old_container)
{
        static const char *const without[] = { "ports",      "healthcheck", "container_name", "networks", "depends_on",
                                               "restart",    "expose",      "hostname",       "links",    "post_start",
                                               "pre_stop",   "read_only",   "entrypoint",     "scale",    "extra_hosts",
                                               "domainname", "dns",         "mac_address",    "sysctls" };
        json_t *mounts = json_object_get(service, "volumes");
        size_t i = json_array_size(mounts);

        for (size_t k = 0; k < ARRAY_SIZE(without); k++)
                json_object_del(service, without[k]);
        while (i-- > 0)
                if (is_init_files(json_array_get(mounts, i)))
                        json_array_remove(mounts, i);
        json_object_set_new(service, "command", server_command(service));
        json_object_set_new(service, "image", json_string(record->new_image));
        json_object_set_new(service, "network_mode", json_sprintf("container:%s", old_container));
}

json_t *upgrade_model(const json_t *model, const UpgradeRecord *record, const char *old_container,
                      const char *volume_key)
{
        json_t *changed = json_deep_copy(model);
        json_t *volume = json_object_get(json_object_get(changed, "volumes"), volume_key);

        change_service(json_object_get(json_object_get(changed, "services"), record->service), record, old_container);
        json_object_set_new(volume, "name", json_string(record->kept));
        json_object_del(volume, "external");
        return changed;
}

bool upgrade_moves_mount(const UpgradeRecord *record)
{
        return !isempty(record->old_target) && !isempty(record->new_target) &&
               !streq(record->old_target, record->new_target);
}

void upgrade_model_back(json_t *model, const UpgradeRecord *record, const char *volume_key)
{
        json_t *service = json_object_get(json_object_get(model, "services"), record->service);
        json_t *mount;
        size_t i;

        json_object_set_new(service, "image", json_string(record->old_image));
        json_array_foreach(json_object_get(service, "volumes"), i, mount)
                if (streq(json_get_string(mount, "source", ""), volume_key) &&
                    streq(json_get_string(mount, "target", ""), record->new_target))
                        json_object_set_new(mount, "target", json_string(record->old_target));
}

/* ---- files ---- */

static int carry_file(const char *old_folder, const char *new_folder, const char *name, const struct stat *owner,
                      Error **err)
{
        _cleanup_free_ char *from = path_join(old_folder, name), *to = path_join(new_folder, name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;
        int r;

        if (lstat(from, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        r = fs_read_file(AT_FDCWD, from, (size_t)1024 * 1024, &text, err);
        if (r == 0)
                r = fs_write_file(AT_FDCWD, to, strbuf_text(&text), text.length, status.st_mode & 0777, err);
        if (r == 0 && chown(to, owner->st_uid, owner->st_gid) < 0)
                r = error_set_errno(err, errno, "chown \"%s\"", to);
        return r;
}

int upgrade_carry_files(const char *old_folder, const char *new_folder, Error **err)
{
        static const char *const names[] = { "pg_hba.conf", "pg_ident.conf", "server.crt",
                                             "server.key",  "root.crt",      "root.crl" };
        struct stat owner;
        int r = 0;

        if (stat(new_folder, &owner) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", new_folder);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
                r = carry_file(old_folder, new_folder, names[i], &owner, err);
        return r;
}
