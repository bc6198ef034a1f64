#include "operate/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "state/document.h"

#define FILE_LIMIT    ((uint64_t)8 << 20)
#define TOTAL_LIMIT   ((uint64_t)64 << 20)
#define COUNT_LIMIT   4000
#define COMPOSE_LIMIT ((size_t)4 << 20)

void bundle_done(Bundle *bundle)
{
        VECTOR_FOREACH(file, &bundle->files) {
                free(file->path);
                free(file->name);
                free(file->target);
        }
        vector_done(&bundle->files);
        json_decref(bundle->manifest);
        json_decref(bundle->model);
        strv_free(bundle->left_out);
}

typedef struct Collecting {
        const BundleSource *source;
        Bundle *bundle;
        char **secret_paths; /* files and folders that hold secrets; a strv */
        char **needed;       /* files that the model names */
        dev_t device;        /* of the project's folder */
        uint64_t total;
} Collecting;

static void leave_out(Collecting *collecting, const char *path, const char *reason)
{
        _cleanup_free_ char *text = xasprintf("%s: %s", path, reason);

        if (!strv_contains(collecting->bundle->left_out, text))
                strv_add(&collecting->bundle->left_out, text);
}

static bool is_below(const char *path, const char *folder)
{
        const char *rest = startswith(path, folder);

        return rest && (*rest == '/' || *rest == '\0');
}

/* ---- what is secret ---- */

static bool holds_secret(const char *name)
{
        static const char *const words[] = { "PASSWORD",    "PASSWD",  "SECRET",      "TOKEN",
                                             "PRIVATE_KEY", "API_KEY", "DATABASE_URL" };

        if (endswith(name, "_FILE")) /* where it is, not what it is */
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcasestr(name, words[i]))
                        return true;
        return false;
}

/* A compose file that has the value of a password in it, not the name of a variable. */
static bool compose_file_has_secrets(const Collecting *collecting, const char *path)
{
        const json_t *services = json_object_get(collecting->source->model, "services");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *service, *name;
        json_t *description, *value;

        if (fs_read_file(AT_FDCWD, path, COMPOSE_LIMIT, &text, NULL) < 0)
                return true;
        json_object_foreach((json_t *)services, service, description)
                json_object_foreach(json_object_get(description, "environment"), name, value)
                        if (holds_secret(name) && json_is_string(value) && json_string_length(value) &&
                            strstr(strbuf_text(&text), json_string_value(value)))
                                return true;
        return false;
}

static bool looks_secret(const char *name, const struct stat *status)
{
        const char *base = path_basename(name);
        static const char *const endings[] = { ".env", ".key", ".pem", ".p12", ".pfx" };

        for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
                if (endswith(base, endings[i]))
                        return true;
        if (streq(base, ".env") || startswith(base, ".env.") || startswith(name, "secrets/") ||
            strstr(name, "/secrets/"))
                return true;
        return S_ISREG(status->st_mode) && !(status->st_mode & 077); /* for its owner's eyes */
}

static bool is_secret(const Collecting *collecting, const char *path, const char *name, const struct stat *status)
{
        STRV_FOREACH(secret, collecting->secret_paths)
                if (is_below(path, *secret))
                        return true;
        if (strv_contains(collecting->source->files, path))
                return compose_file_has_secrets(collecting, path);
        return looks_secret(name, status);
}

/* ---- taking ---- */

static bool is_taken(const Bundle *bundle, const char *path)
{
        VECTOR_FOREACH(file, &bundle->files)
                if (streq(file->path, path))
                        return true;
        return false;
}

static void take(Collecting *collecting, const char *path, const char *name, const struct stat *status)
{
        BundleFile file = { .mode = status->st_mode & 0777,
                            .uid = status->st_uid,
                            .gid = status->st_gid,
                            .mtime_s = status->st_mtime,
                            .size_bytes = (uint64_t)status->st_size };

        if (collecting->source->key && streq(path, collecting->source->key))
                return; /* it would be of no use inside what it opens */
        if (streq(path_basename(path), ".berth-recover.json"))
                return;
        if (is_taken(collecting->bundle, path))
                return;
        if (!S_ISDIR(status->st_mode) && !collecting->source->secrets && is_secret(collecting, path, name, status))
                return leave_out(collecting, path, "may hold secrets, and the copy is not encrypted");
        if (S_ISLNK(status->st_mode)) {
                if (fs_read_link(path, &file.target, NULL) < 0)
                        return;
                file.size_bytes = 0;
        } else if (S_ISDIR(status->st_mode)) {
                file.folder = true;
                file.size_bytes = 0;
        } else if (!S_ISREG(status->st_mode)) {
                return;
        } else if (file.size_bytes > FILE_LIMIT) {
                return leave_out(collecting, path, "larger than 8 MiB");
        }
        if (collecting->total + file.size_bytes > TOTAL_LIMIT || collecting->bundle->files.length >= COUNT_LIMIT) {
                free(file.target);
                return leave_out(collecting, collecting->source->working_dir,
                                 "more than 64 MiB or 4000 files: not all is there");
        }
        collecting->total += file.size_bytes;
        file.path = xstrdup(path);
        file.name = xstrdup(name);
        vector_add(&collecting->bundle->files, file);
}

/* What is neither the project's own nor small: data, repositories of code, packages. */
static bool is_passed_over(const Collecting *collecting, const char *path, const struct stat *status)
{
        static const char *const names[] = { ".git", "node_modules", ".venv", "__pycache__" };
        _cleanup_free_ char *version = path_join(path, "PG_VERSION");

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(path_basename(path), names[i]))
                        return true;
        return fs_exists(version) || status->st_dev != collecting->device;
}

/* The folder itself, for its owner and mode, and what is in it. */
static void take_folder(Collecting *collecting, const char *folder, const char *name, unsigned depth)
{
        _cleanup_strv_ char **entries = NULL;
        struct stat own;

        if (strchr(name, '/') && lstat(folder, &own) == 0)
                take(collecting, folder, name, &own);
        if (depth > 32 || collecting->bundle->files.length >= COUNT_LIMIT ||
            fs_list_directory(AT_FDCWD, folder, &entries, NULL) < 0)
                return;
        STRV_FOREACH(entry, entries) {
                _cleanup_free_ char *path = path_join(folder, *entry), *inside = path_join(name, *entry);
                struct stat status;

                if (lstat(path, &status) < 0)
                        continue;
                if (!S_ISDIR(status.st_mode))
                        take(collecting, path, inside, &status);
                else if (is_passed_over(collecting, path, &status))
                        leave_out(collecting, path, "data or packages");
                else
                        take_folder(collecting, path, inside, depth + 1);
        }
}

/* One that the model names, wherever it is. */
static void take_named(Collecting *collecting, const char *path)
{
        const char *rest = startswith(path, collecting->source->working_dir);
        _cleanup_free_ char *name = rest && *rest == '/' ? xasprintf("folder%s", rest) : xasprintf("outside%s", path);
        struct stat status;

        if (stat(path, &status) < 0)
                return;
        if (S_ISDIR(status.st_mode))
                take_folder(collecting, path, name, 0);
        else
                take(collecting, path, name, &status);
}

/* ---- what the model names ---- */

static void note_file(Collecting *collecting, const json_t *object, const char *member, bool secret)
{
        const char *word = json_get_string(object, member, NULL);
        _cleanup_free_ char *path = word ? path_clean(collecting->source->working_dir, word) : NULL;

        if (!path)
                return;
        if (!strv_contains(collecting->needed, path))
                strv_add(&collecting->needed, path);
        if (secret)
                strv_add(&collecting->secret_paths, path);
}

static void note_files(Collecting *collecting, const json_t *sources, bool secret, json_t *missing)
{
        const char *name;
        json_t *source;

        json_object_foreach((json_t *)sources, name, source) {
                note_file(collecting, source, "file", secret);
                if (!secret || json_object_get(source, "file"))
                        continue;
                json_array_append_new(missing, json_sprintf("the secret \"%s\" comes from %s%s", name,
                                                            json_get_string(source, "environment", NULL)
                                                                    ? "the environment variable "
                                                                    : "outside",
                                                            json_get_string(source, "environment", "")));
        }
}

static void note_x_berth(Collecting *collecting, const json_t *x_berth)
{
        const json_t *offsite = json_object_get(json_object_get(x_berth, "backup"), "offsite");
        const json_t *tls = json_object_get(x_berth, "tls");
        static const char *const members[] = { "credentials", "identity", "known_hosts", "ca" };
        _cleanup_free_ char *folder = path_clean(collecting->source->working_dir, json_get_string(tls, "path", "tls"));

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (!json_object_get(json_object_get(collecting->source->model, "secrets"),
                                     json_get_string(offsite, members[i], "")))
                        note_file(collecting, offsite, members[i], i < 2);
        if (fs_is_directory(folder)) {
                strv_add(&collecting->secret_paths, folder);
                strv_add(&collecting->needed, folder);
        }
}

static void note_all(Collecting *collecting, json_t *missing)
{
        const json_t *model = collecting->source->model, *services = json_object_get(model, "services");
        const json_t *x_berth = json_object_get(model, "x-berth");
        _cleanup_json_ json_t *ignored = json_array();
        const char *service;
        json_t *description;

        note_files(collecting, json_object_get(model, "secrets"), true, missing);
        note_files(collecting, json_object_get(model, "configs"), false, missing);
        note_files(collecting, json_object_get(x_berth, "secrets"), true, ignored);
        note_x_berth(collecting, x_berth);
        json_object_foreach((json_t *)services, service, description)
                note_x_berth(collecting, json_object_get(description, "x-berth"));
}

/* ---- the manifest ---- */

static json_t *names_of(const json_t *object)
{
        json_t *names = json_array(), *value;
        const char *key;

        json_object_foreach((json_t *)object, key, value)
                json_array_append_new(names, json_string(json_get_string(value, "name", key)));
        return names;
}

static json_t *images_of(const json_t *services)
{
        json_t *images = json_object(), *value;
        const char *key;

        json_object_foreach((json_t *)services, key, value)
                json_object_set_new(images, key, json_string(json_get_string(value, "image", "")));
        return images;
}

static json_t *make_manifest(const Collecting *collecting, json_t *missing)
{
        const BundleSource *source = collecting->source;
        json_t *manifest = json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:O, s:b}", "format", BUNDLE_FORMAT,
                                     "project", source->project, "working_dir", source->working_dir, "files",
                                     json_from_strv(source->files), "needed", json_from_strv(collecting->needed),
                                     "volumes", names_of(json_object_get(source->model, "volumes")), "services",
                                     images_of(json_object_get(source->model, "services")), "missing", missing,
                                     "secrets", (int)source->secrets);

        json_object_set_new(manifest, "left_out", json_from_strv(collecting->bundle->left_out));
        json_set_string(manifest, "key", source->key);
        return manifest;
}

static void add_part(Sha256 *hash, const char *text)
{
        sha256_add(hash, text, strlen(text) + 1);
}

static void sign(Bundle *bundle)
{
        _cleanup_free_ char *manifest = json_dumps(bundle->manifest, JSON_SORT_KEYS), *digits = NULL;
        _cleanup_free_ char *model = bundle->model ? json_dumps(bundle->model, JSON_SORT_KEYS) : xstrdup("");
        unsigned char digest[SHA256_SIZE];
        Sha256 hash;

        sha256_init(&hash);
        add_part(&hash, manifest);
        add_part(&hash, model);
        VECTOR_FOREACH(file, &bundle->files) {
                _cleanup_free_ char *line =
                        xasprintf("%s %o %u %u %lld %llu %s", file->name, file->mode, file->uid, file->gid,
                                  file->folder ? 0 : (long long)file->mtime_s, (unsigned long long)file->size_bytes,
                                  file->target ? file->target : "");
                add_part(&hash, line);
        }
        sha256_finish(&hash, digest);
        digits = hex_encode(digest, sizeof(digest));
        memcpy(bundle->signature, digits, sizeof(bundle->signature));
}

/* A folder before what is in it. */
static int compare_files(const void *left, const void *right)
{
        return strcmp(((const BundleFile *)left)->name, ((const BundleFile *)right)->name);
}

int bundle_collect(const BundleSource *source, Bundle *ret, Error **err)
{
        Collecting collecting = { .source = source, .bundle = ret };
        _cleanup_json_ json_t *missing = json_array();
        struct stat status;

        if (stat(source->working_dir, &status) < 0)
                return error_set_errno(err, errno, "the project's folder \"%s\"", source->working_dir);
        collecting.device = status.st_dev;
        STRV_FOREACH(file, source->files)
                strv_add(&collecting.needed, *file);
        note_all(&collecting, missing);
        STRV_FOREACH(file, collecting.needed)
                take_named(&collecting, *file);
        take_folder(&collecting, source->working_dir, "folder", 0);
        if (ret->files.length)
                qsort(ret->files.items, ret->files.length, sizeof(BundleFile), compare_files);
        ret->manifest = make_manifest(&collecting, missing);
        if (source->secrets)
                ret->model = json_incref((json_t *)source->model);
        sign(ret);
        strv_free(collecting.secret_paths);
        strv_free(collecting.needed);
        return 0;
}
