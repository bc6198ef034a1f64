#include "compose/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "compose/node.h"

#define FILE_LIMIT ((size_t)16 * 1024 * 1024)

typedef struct ImagePlace {
        const Node *node;
        char *path;    /* of the real file */
        Strbuf text;   /* its content */
        size_t offset; /* of the value */
} ImagePlace;

static void image_place_done(ImagePlace *place)
{
        free(place->path);
        strbuf_done(&place->text);
}

static int by_hand(const Node *node, const char *why, Error **err)
{
        int r = error_set(err, ERROR_UNSUPPORTED, "the image cannot be changed for you: %s", why);

        return node && node_file(node) ? error_hint(err, r, "Change what gives %s:%u its value, then run this again.",
                                                    node_file(node), node->line)
                                       : error_hint(err, r, "Change it by hand, then run this again.");
}

/* The start of a line and column, both from 1; SIZE_MAX past the end. */
static size_t offset_of(const Strbuf *text, unsigned line, unsigned column)
{
        size_t offset = 0;

        for (unsigned i = 1; i < line; i++) {
                const char *newline = memchr(text->data + offset, '\n', text->length - offset);
                if (!newline)
                        return SIZE_MAX;
                offset = (size_t)(newline - text->data) + 1;
        }
        return offset + column - 1;
}

static int find_place(const Project *project, const char *service, ImagePlace *ret, Error **err)
{
        const Node *image = node_get(node_get(node_get(project->model, "services"), service), "image");
        int r;

        if (!image || !node_file(image) || !image->line)
                return by_hand(NULL, "no file gives it", err);
        if (node_note(image))
                return by_hand(image, "it comes from a variable", err);
        ret->node = image;
        ret->path = realpath(node_file(image), NULL);
        if (!ret->path)
                return error_set_errno(err, errno, "find \"%s\"", node_file(image));
        r = fs_read_file(AT_FDCWD, ret->path, FILE_LIMIT, &ret->text, err);
        if (r < 0)
                return r;
        ret->offset = offset_of(&ret->text, image->line, image->column);
        if (ret->offset < ret->text.length && strchr("\"'", ret->text.data[ret->offset]))
                ret->offset++;
        if (ret->offset >= ret->text.length || !startswith(ret->text.data + ret->offset, image->text))
                return by_hand(image, "it is not written there as it is", err);
        return 0;
}

int edit_find_image(const Project *project, const char *service, char **ret_place, Error **err)
{
        _cleanup_(image_place_done) ImagePlace place = { .text = STRBUF_INIT };
        int r = find_place(project, service, &place, err);

        if (r == 0)
                *ret_place = xasprintf("%s:%u", node_file(place.node), place.node->line);
        return r;
}

int edit_replace_image(const Project *project, const char *service, const char *image, Error **err)
{
        _cleanup_(image_place_done) ImagePlace place = { .text = STRBUF_INIT };
        _cleanup_strbuf_ Strbuf changed = STRBUF_INIT;
        struct stat status;
        size_t rest;
        int r;

        r = find_place(project, service, &place, err);
        if (r < 0)
                return r;
        if (stat(place.path, &status) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", place.path);
        rest = place.offset + strlen(place.node->text);
        strbuf_add(&changed, place.text.data, place.offset);
        strbuf_adds(&changed, image);
        strbuf_add(&changed, place.text.data + rest, place.text.length - rest);
        r = fs_write_file(AT_FDCWD, place.path, changed.data, changed.length, status.st_mode & 07777, err);
        if (r == 0 && chown(place.path, status.st_uid, status.st_gid) < 0)
                r = error_set_errno(err, errno, "chown \"%s\"", place.path);
        return r;
}
