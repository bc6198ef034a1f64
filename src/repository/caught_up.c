#include "repository/caught_up.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"

#define TEXT_BYTES 128 /* always: blanks fill it up */

int caught_up_write(const Repository *repository, const CaughtUp *moment, Error **err)
{
        _cleanup_free_ char *path = path_join(repository->path, CAUGHT_UP_KEY);
        char text[TEXT_BYTES + 1], place[LSN_TEXT_SIZE];
        int n = snprintf(text, sizeof(text),
                         "{\"format\": %d, \"timeline\": %" PRIu32 ", \"lsn\": \"%s\", \"at_ns\": %" PRIi64 "}",
                         CAUGHT_UP_FORMAT, moment->timeline, lsn_format(moment->lsn, place), moment->at_ns);

        memset(text + n, ' ', (size_t)(TEXT_BYTES - n));
        text[TEXT_BYTES - 1] = '\n';
        return fs_rewrite_in_place(AT_FDCWD, path, text, TEXT_BYTES, 0600, err);
}

bool caught_up_read(Repository *repository, CaughtUp *ret)
{
        _cleanup_json_ json_t *document = NULL;

        *ret = (CaughtUp){ 0 };
        if (storage_get_document(repository->storage, CAUGHT_UP_KEY, CAUGHT_UP_FORMAT, 4 * TEXT_BYTES, &document,
                                 NULL) < 0)
                return false;
        ret->timeline = (uint32_t)json_get_int(document, "timeline", 0);
        ret->at_ns = json_get_int(document, "at_ns", 0);
        return lsn_parse(json_get_string(document, "lsn", ""), &ret->lsn) && ret->at_ns > 0;
}
