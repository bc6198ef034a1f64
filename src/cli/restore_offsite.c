/* What this machine has not, or has no more, is had from the copy elsewhere that the project names. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/report.h"
#include "cli/restore.h"
#include "cli/work.h"
#include "state/document.h"

#define MEND_WAIT_MS 60000 /* for the copy that is at work by itself */

static json_t *params_of(const OffsiteSettings *settings)
{
        json_t *params = json_pack("{s:O}", "copy", settings->copy);

        json_set_string(params, "key", settings->key);
        return params;
}

/* The service's cluster with the newest backup, or the one whose backups here lack something. Borrowed; NULL: none. */
static const json_t *choose_line(const Restore *restore, const json_t *lines)
{
        const char *here = restore->repository ? strrchr(restore->repository, '/') : NULL;
        const json_t *best = NULL;
        json_t *line;
        size_t i;

        json_array_foreach(lines, i, line) {
                const char *folder = json_get_string(line, "folder", "");

                if (!streq(json_get_string(line, "service", ""), restore->service) || !json_get_int(line, "backups", 0))
                        continue;
                if (here && endswith(folder, here))
                        return line;
                if (json_get_int(line, "newest_ns", 0) > json_get_int(best, "newest_ns", 0))
                        best = line;
        }
        return here ? NULL : best;
}

static int fetch(const Restore *restore, const OffsiteSettings *settings, const char *folder, Error **err)
{
        Work work = { "repository-fetch", "Fetching", "backups", restore->service, "fetching", "fetched" };
        _cleanup_free_ char *into =
                layout_data(restore->invocation->layout, "backups/%s/%s", restore->scope.name, restore->service);
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ json_t *report = NULL;
        json_t *params = params_of(settings);
        int r;

        text = xasprintf(
                "not on this machine: what leads to that point of the backups of service \"%s\" is fetched from %s",
                restore->service, json_get_string(settings->copy, "url", ""));
        report_warning(text);
        json_set_string(params, "folder", folder);
        json_set_string(params, "into", into);
        json_set_string(params, "to", restore->to);
        json_set_string(params, "backup", invocation_text(restore->invocation, "backup", NULL));
        json_object_set_new(params, "timeline", json_integer(invocation_number(restore->invocation, "timeline", 0)));
        r = work_run(restore->invocation, &work, params, &report, err);
        return error_prefix(err, r, "copy elsewhere");
}

json_t *restore_elsewhere(const Restore *restore)
{
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
        bool said = false;

        if (offsite_settings_of(restore->invocation, &restore->scope, restore->service, &settings, &said, NULL) < 0 ||
            !said)
                return NULL;
        return params_of(&settings);
}

int restore_mend(const Restore *restore, bool *ret_mended, Error **err)
{
        Work work = { "repository-repair", "Mending", "backups", restore->service, "mending", "mended" };
        _cleanup_json_ json_t *params = restore_elsewhere(restore), *report = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        *ret_mended = false;
        if (!params)
                return 0;
        json_set_string(params, "repository", restore->repository);
        json_object_set_new(params, "wait_ms", json_integer(MEND_WAIT_MS));
        r = work_run(restore->invocation, &work, TAKE_PTR(params), &report, err);
        if (r < 0)
                return error_prefix(err, r, "copy elsewhere");
        *ret_mended = json_array_size(json_object_get(report, "mended")) > 0;
        text = xasprintf("the backups of service \"%s\" were damaged here: %zu objects were mended from their copy",
                         restore->service, json_array_size(json_object_get(report, "mended")));
        if (*ret_mended)
                report_warning(text);
        return 0;
}

int restore_fetch(Restore *restore, bool *ret_fetched, Error **err)
{
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
        _cleanup_json_ json_t *found = NULL;
        const json_t *line;
        int64_t wanted_ns;
        json_t *params;
        bool said;
        int r = offsite_settings_of(restore->invocation, &restore->scope, restore->service, &settings, &said, err);

        *ret_fetched = false;
        if (r < 0 || !said)
                return r;
        params = params_of(&settings);
        json_set_string(params, "project", restore->scope.name);
        r = work_ask(restore->invocation, "offsite-look", params, &found, err);
        if (r < 0)
                return error_prefix(err, r, "copy elsewhere");
        line = choose_line(restore, json_object_get(found, "lines"));
        if (!line || (clock_parse_time(restore->to, &wanted_ns) && wanted_ns < json_get_int(line, "oldest_ns", 0)))
                return 0; /* it does not lead there either */
        r = fetch(restore, &settings, json_get_string(line, "folder", ""), err);
        *ret_fetched = r >= 0;
        return r;
}
