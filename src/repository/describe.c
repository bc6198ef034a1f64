#include "repository/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "repository/aside.h"
#include "state/document.h"

#define INDEX_ENDING ".index"
#define INDEX_LIMIT  ((size_t)256 << 20)
#define PAGE_BYTES   8192

/* ---- what there is ---- */

/* Torn or not: what says that it is of another time is not ours to replace. */
static bool says_newer_format(const char *file)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *found;

        if (fs_read_file(AT_FDCWD, file, INDEX_LIMIT, &text, NULL) < 0)
                return false;
        found = strstr(strbuf_text(&text), "\"format\"");
        found = found ? found + strlen("\"format\"") : "";
        found += strspn(found, " \t\r\n");
        return *found == ':' && strtoll(found + 1, NULL, 10) > REPOSITORY_FORMAT;
}

static bool has_newer_records(const char *path)
{
        _cleanup_free_ char *folder = path_join(path, "backups");
        _cleanup_strv_ char **ids = NULL;

        fs_list_directory(AT_FDCWD, folder, &ids, NULL);
        STRV_FOREACH(id, ids) {
                _cleanup_free_ char *record = xasprintf("%s/%s/backup.json", folder, *id);
                _cleanup_json_ json_t *document = NULL;

                if (document_load(record, REPOSITORY_FORMAT, &document, NULL) == -ERROR_UNSUPPORTED)
                        return true;
        }
        return false;
}

/* The fourth word of a line: "<SHA-256> <offset> <stored bytes> <bytes> <CRC-32C>". */
static uint32_t chunk_bytes_of(const char *line)
{
        for (int i = 0; i < 3; i++) {
                line += strcspn(line, " \n");
                line += *line == ' ';
        }
        return (uint32_t)strtoul(line, NULL, 10);
}

/* The longest chunk is as long as they all are but a file's last one. */
static uint32_t find_chunk_bytes(const char *path)
{
        _cleanup_free_ char *folder = path_join(path, "packs");
        _cleanup_strv_ char **names = NULL;
        uint32_t longest = 0;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *file = path_join(folder, *name);
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                if (!endswith(*name, INDEX_ENDING) || fs_read_file(AT_FDCWD, file, INDEX_LIMIT, &text, NULL) < 0)
                        continue;
                for (const char *line = strbuf_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n')
                        longest = MAX(longest, chunk_bytes_of(line));
        }
        return longest >= PAGE_BYTES && longest <= 16 << 20 && longest % PAGE_BYTES == 0 ? longest : REPOSITORY_CHUNK_BYTES;
}

bool repository_known_by_folder(const char *path, Repository *ret)
{
        _cleanup_free_ char *file = path_join(path, REPOSITORY_DESCRIPTION), *backups = path_join(path, "backups");
        _cleanup_free_ char *log = path_join(path, "wal"), *service = path_dirname(path), *project = path_dirname(service);
        const char *name = path_basename(path);

        if (!*name || strspn(name, "0123456789") != strlen(name) || sscanf(name, "%" SCNu64, &ret->system_identifier) != 1 ||
            (!fs_is_directory(backups) && !fs_is_directory(log)) || says_newer_format(file) || has_newer_records(path))
                return false;
        ret->chunk_bytes = find_chunk_bytes(path);
        ret->project = xstrdup(path_basename(project));
        ret->service = xstrdup(path_basename(service));
        return true;
}

/* ---- writing it ---- */

static int set_aside(const Repository *repository, const char *file, char **ret_kept, Error **err)
{
        _cleanup_free_ char *name = aside_name(), *folder = path_join(repository->path, name);
        _cleanup_free_ char *kept = path_join(folder, REPOSITORY_DESCRIPTION);
        int r;

        if (!fs_exists(file))
                return 0;
        r = fs_make_directories(folder, 0700, err);
        if (r == 0 && link(file, kept) < 0 && errno != EEXIST)
                r = error_set_errno(err, errno, "keep \"%s\"", file);
        if (r == 0)
                *ret_kept = TAKE_PTR(folder);
        return r;
}

int repository_describe_anew(Repository *repository, char **ret_kept, Error **err)
{
        _cleanup_free_ char *file = path_join(repository->path, REPOSITORY_DESCRIPTION);
        int r = set_aside(repository, file, ret_kept, err);

        if (r == 0)
                r = repository_describe(repository, err);
        if (r == 0)
                free_and_replace(&repository->undescribed, NULL);
        return r;
}
