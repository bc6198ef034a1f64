/* What of the trash is thrown away. That seven days have passed is the clock's word, and a machine that boots with a wrong one
 * would delete everything at once: an entry goes only once it was found old, and is found old again after this installation has
 * been running for a day more. trash/due.json remembers that; it is there only while something is old. */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/volume.h"
#include "engine/local/volume_format.h"
#include "state/document.h"

#define DUE_FORMAT 1
#define AGREED_NS  (86400 * NSEC_PER_SEC)

typedef struct Due {
        char *path;
        json_t *document; /* {"boot_id", "monotonic_ns", "running_ns", "entries": {name: running_ns when it was found old}} */
        json_t *entries;    /* what will be remembered */
        int64_t running_ns; /* how long this installation has been seen running: it grows by the monotonic clock alone */
} Due;

static void due_done(Due *due)
{
        json_decref(due->document);
        json_decref(due->entries);
        free(due->path);
}

/* Times at which the machine ran and nobody looked are not counted, rather than guessed. */
static int due_load(const Layout *layout, Due *ret, Error **err)
{
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_error_ Error *error = NULL;
        int64_t now_ns = clock_monotonic_ns(), seen_ns = 0;
        int r;

        *ret = (Due){ .path = layout_data(layout, "trash/due.json"), .entries = json_object() };
        r = document_load(ret->path, DUE_FORMAT, &ret->document, &error);
        if (r < 0 && r != -ERROR_NOT_FOUND && r != -ERROR_CORRUPT)
                return error_move(err, &error, r);
        if (*boot_id && streq(json_get_string(ret->document, "boot_id", ""), boot_id))
                seen_ns = json_get_int(ret->document, "monotonic_ns", now_ns);
        ret->running_ns = json_get_int(ret->document, "running_ns", 0) + MAX(now_ns - seen_ns, INT64_C(0));
        return 0;
}

static int due_save(Due *due, Error **err)
{
        _cleanup_free_ char *boot_id = NULL;
        _cleanup_json_ json_t *document = NULL;

        if (!json_object_size(due->entries)) {
                unlink(due->path);
                return 0;
        }
        boot_id = layout_boot_id();
        document =
                json_pack("{s:s, s:I, s:I, s:O}", "boot_id", boot_id, "monotonic_ns", (json_int_t)clock_monotonic_ns(),
                          "running_ns", (json_int_t)due->running_ns, "entries", due->entries);
        return document_save(due->path, DUE_FORMAT, document, err);
}

/* Whether an entry that is old by the clock may go; else it is remembered. */
static bool is_agreed(Due *due, const char *entry)
{
        int64_t found_ns = json_get_int(json_object_get(due->document, "entries"), entry, due->running_ns);

        if (due->running_ns - found_ns >= AGREED_NS)
                return true;
        json_object_set_new(due->entries, entry, json_integer(found_ns));
        return false;
}

int volume_trash_empty(const Layout *layout, int64_t max_age_ns, uint64_t *ret_freed, Error **err)
{
        _cleanup_free_ char *trash = layout_data(layout, "trash");
        _cleanup_strv_ char **entries = NULL;
        _cleanup_(due_done) Due due = { 0 };
        int64_t now = clock_realtime_ns(), removed_ns;
        uint64_t freed = 0;
        const char *name;
        int r = due_load(layout, &due, err);

        if (r < 0)
                return r;
        fs_list_directory(AT_FDCWD, trash, &entries, NULL);
        STRV_FOREACH(entry, entries) {
                _cleanup_free_ char *path = path_join(trash, *entry);
                if (!trash_entry_parse(*entry, &removed_ns, &name) || (max_age_ns && now - removed_ns < max_age_ns) ||
                    (max_age_ns && !is_agreed(&due, *entry)))
                        continue;
                freed += ret_freed ? fs_disk_usage(path) : 0;
                r = fs_remove_tree(AT_FDCWD, path, err);
                if (r < 0)
                        return r;
        }
        if (ret_freed)
                *ret_freed = freed;
        return due_save(&due, err);
}
