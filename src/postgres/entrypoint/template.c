#include "postgres/entrypoint/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "base/tree.h"
#include "postgres/entrypoint/copy.h"
#include "postgres/entrypoint/initdb.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/scripts.h"
#include "postgres/entrypoint/server.h"
#include "postgres/identity.h"
#include "postgres/md5.h"
#include "postgres/scram.h"

#define TEMPLATES_DIR "/run/berth/templates"
#define KEY_FORMAT    1
#define KEY_DIGITS    32

/* The template's password ("berth-template"): a verifier like any other, since it is replaced and never used. One of each
 * kind, since the new one takes its place byte by byte. */
#define PLACEHOLDER                                    \
        "SCRAM-SHA-256$4096:YmVydGgtdGVtcGxhdGUAAA==$" \
        "gpIiHErUofjljiidtaR75Bh2jLurKT1mV8Mll2bs+6c=:J+UIaQxJzix0p4qM0Akq31FgNS6Q18LC5yWyqoKEzxk="

#define MD5_PLACEHOLDER "md5dc1a1cdb1e4a4d3a8ec31b4c15c2b6a4"

/* The linker's build id of a program: it changes when the program does. */
static void add_build_id(Strbuf *text, const char *name)
{
        _cleanup_free_ char *program = process_find(name);
        _cleanup_close_ int fd = program ? open(program, O_RDONLY | O_CLOEXEC) : -1;
        struct stat status;
        unsigned char head[4096];
        ssize_t n;
        char *hash;

        if (fd < 0 || fstat(fd, &status) < 0 || (n = read(fd, head, sizeof(head))) <= 0)
                return;
        /* The note stands in the first page; size and time besides, for builds without one. */
        hash = sha256_hex(head, (size_t)n);
        strbuf_addf(text, "%s %s %lld %lld\n", name, hash, (long long)status.st_size, (long long)status.st_mtim.tv_sec);
        free(hash);
}

char *template_key(const Settings *settings)
{
        static const char *const variables[] = { "LANG",        "LC_ALL",     "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES",
                                                 "LC_MONETARY", "LC_NUMERIC", "LC_TIME",    "TZ" };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        char *key;

        strbuf_addf(&text, "format %d\nmajor %d\n", KEY_FORMAT, settings->major);
        add_build_id(&text, "postgres");
        add_build_id(&text, "initdb");
        strbuf_addf(&text, "arguments %s\nuser %s\ndatabase %s\n", settings->initdb_args, settings->user,
                    settings->database);
        for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
                strbuf_addf(&text, "%s %s\n", variables[i], getenv(variables[i]) ? getenv(variables[i]) : "");
        key = sha256_hex(text.data, text.length);
        key[KEY_DIGITS] = '\0';
        return key;
}

/* A ready verifier is stored as it is, which is initdb's business. */
static bool is_verifier(const char *password)
{
        return startswith(password, "SCRAM-SHA-256$") || (startswith(password, "md5") && strlen(password) == 35);
}

/* initdb until 13 cuts a line that is as long as a SCRAM verifier. */
static bool takes_placeholder(const Settings *settings, bool md5)
{
        return md5 || settings->major == 0 || settings->major >= 14;
}

/* Passwords that only a server can prepare, or that initdb has a rule of its own for, are initdb's business. */
static bool fits(const Settings *settings)
{
        bool md5 = initdb_wants_md5(settings);
        bool plain = md5 || scram_is_plain(settings->password);

        return plain && takes_placeholder(settings, md5) && !settings->waldir && *settings->password &&
               !is_verifier(settings->password);
}

char *template_find(const Settings *settings)
{
        const char *folder = getenv("BERTH_TEMPLATES");
        _cleanup_free_ char *key = NULL, *path = NULL;
        ControlFile control;

        folder = isempty(folder) ? TEMPLATES_DIR : folder;
        if (!fs_is_directory(folder) || !fits(settings))
                return NULL;
        key = template_key(settings);
        path = path_join(folder, key);
        /* Only what would pass every later step. */
        if (identity_read(path, &control, NULL) < 0 || !control.shut_down)
                return NULL;
        return TAKE_PTR(path);
}

static const char *placeholder(const Settings *settings)
{
        return initdb_wants_md5(settings) ? MD5_PLACEHOLDER : PLACEHOLDER;
}

static int build_verifier(const Settings *settings, char **ret, Error **err)
{
        char verifier[MD5_VERIFIER_LENGTH + 1];

        if (!initdb_wants_md5(settings))
                return scram_build_verifier(settings->password, NULL, SCRAM_DEFAULT_ITERATIONS, ret, err);
        md5_build_verifier(settings->password, settings->user, verifier);
        *ret = xstrdup(verifier);
        return 0;
}

int template_copy(const char *template_dir, const Settings *settings, const char *build_dir, Error **err)
{
        _cleanup_free_ char *verifier = NULL;
        int r;

        r = build_verifier(settings, &verifier, err);
        if (r == 0)
                r = copy_tree(template_dir, build_dir, err);
        if (r == 0)
                r = identity_renew(build_dir, identity_new_system_identifier(), err);
        if (r == 0)
                r = identity_replace_verifier(build_dir, placeholder(settings), verifier, err);
        return error_prefix(err, r, "copy the template cluster");
}

/* The database belongs to the template, made with the server's own means. */
static int fill(const Settings *settings, int *ret_status, Error **err)
{
        _cleanup_server_ TemporaryServer server = { .process = { .pidfd = -1 } };
        _cleanup_error_ Error *error = NULL;
        int r;

        r = server_create_database(settings, ret_status, &error);
        if (r != -ERROR_UNSUPPORTED)
                return r < 0 ? error_move(err, &error, r) : 0;
        r = server_start(settings, NULL, &server, ret_status, err);
        if (r == 0)
                r = scripts_create_database(settings, server.environment, ret_status, err);
        if (r == 0)
                r = server_stop(&server, err);
        return r;
}

/* The unused end of a log segment becomes a hole, so that nobody copies its zeros. */
static void punch_tail(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        static const char zeros[8192];
        char block[sizeof(zeros)];
        off_t end;

        if (fd < 0)
                return;
        for (end = lseek(fd, 0, SEEK_END); end >= (off_t)sizeof(block); end -= (off_t)sizeof(block))
                if (pread(fd, block, sizeof(block), end - (off_t)sizeof(block)) != sizeof(block) ||
                    memcmp(block, zeros, sizeof(block)) != 0)
                        break;
        /* Where the file system has no holes it stays as it is. */
        _unused_ int ignored =
                fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, lseek(fd, 0, SEEK_END) - end);
}

static void punch_log(const char *data_dir)
{
        _cleanup_free_ char *folder = path_join(data_dir, "pg_wal");
        _cleanup_strv_ char **names = NULL;

        if (fs_list_directory(AT_FDCWD, folder, &names, NULL) < 0)
                return;
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                if (strlen(*name) == 24)
                        punch_tail(path);
        }
}

int template_make(const Settings *settings, const char *folder, int *ret_status, Error **err)
{
        _cleanup_free_ char *key = template_key(settings), *path = path_join(folder, key);
        _cleanup_free_ char *building = xasprintf("%s/.%s.tmp", folder, key);
        Settings changed = *settings;
        ControlFile control;
        int r;

        if (fs_is_directory(path)) {
                utimensat(AT_FDCWD, path, NULL, 0); /* used: who prunes looks */
                return 0;
        }
        r = fs_remove_tree(AT_FDCWD, building, err);
        if (r < 0)
                return r;
        changed.data_dir = building;
        changed.password = (char *)placeholder(settings);
        changed.waldir = NULL;
        if (!takes_placeholder(settings, initdb_wants_md5(settings)))
                return 0;
        r = initdb_run(&changed, building, ret_status, err);
        if (r == 0)
                r = initdb_set_listen_addresses(building, err);
        if (r == 0)
                r = fill(&changed, ret_status, err);
        if (r == 0)
                r = identity_read(building, &control, err);
        if (r == 0 && !control.shut_down)
                r = error_set(err, ERROR_FAILED, "the template was not shut down cleanly");
        if (r == 0)
                punch_log(building);
        if (r == 0)
                r = tree_sync(building, err);
        if (r == 0 && rename(building, path) < 0)
                r = error_set_errno(err, errno, "rename to \"%s\"", path);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, folder, err);
        if (r < 0)
                fs_remove_tree(AT_FDCWD, building, NULL);
        return r;
}
