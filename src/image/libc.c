/* Which C library and which ICU an image has: the collations of a database depend on them. */
#include <fcntl.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/add.h"
#include "image/icu.h"
#include "image/unpack.h"

#define LIBRARY_LIMIT ((size_t)16 * 1024 * 1024)

static const char *const glibc_paths[] = {
        "lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "lib/aarch64-linux-gnu/libc.so.6",
        "usr/lib/aarch64-linux-gnu/libc.so.6",
        "lib64/libc.so.6",
        "usr/lib64/libc.so.6",
        "lib/libc.so.6",
        "usr/lib/libc.so.6",
};
static const char *const musl_paths[] = {
        "lib/ld-musl-x86_64.so.1",
        "lib/ld-musl-aarch64.so.1",
        "usr/lib/ld-musl-x86_64.so.1",
        "usr/lib/ld-musl-aarch64.so.1",
};
static const char *const apk_databases[] = { "lib/apk/db/installed", "usr/lib/apk/db/installed" };

static bool read_in(int layer_fd, const char *path, Strbuf *ret)
{
        _cleanup_close_ int fd = open_in_root(layer_fd, path, O_RDONLY | O_NONBLOCK);

        return fd >= 0 && fs_read_fd(fd, LIBRARY_LIMIT, ret, NULL) == 0;
}

/* Text after marker up to the first byte that no version number has; NULL where the marker is absent. */
static char *version_after(const Strbuf *text, const char *marker)
{
        const char *found = memmem(strbuf_text(text), text->length, marker, strlen(marker));

        return found ? xstrndup(found + strlen(marker), strspn(found + strlen(marker), "0123456789.")) : NULL;
}

static char *find_glibc(int layer_fd)
{
        for (size_t i = 0; i < ARRAY_SIZE(glibc_paths); i++) {
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                _cleanup_free_ char *version = NULL;
                size_t length;

                if (!read_in(layer_fd, glibc_paths[i], &text))
                        continue;
                version = version_after(&text, "release version ");
                if (isempty(version))
                        continue;
                length = strlen(version); /* "2.36." ends a sentence */
                if (version[length - 1] == '.')
                        version[length - 1] = '\0';
                return xasprintf("glibc %s", version);
        }
        return NULL;
}

static char *find_musl(int layer_fd)
{
        bool found = false;

        for (size_t i = 0; i < ARRAY_SIZE(apk_databases); i++) {
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                _cleanup_free_ char *version = NULL;

                if (read_in(layer_fd, apk_databases[i], &text))
                        version = version_after(&text, "\nP:musl\nV:");
                if (!isempty(version))
                        return xasprintf("musl %s", version);
        }
        for (size_t i = 0; !found && i < ARRAY_SIZE(musl_paths); i++) {
                _cleanup_close_ int fd = open_in_root(layer_fd, musl_paths[i], O_RDONLY | O_NONBLOCK);

                found = fd >= 0;
        }
        return found ? xstrdup("musl") : NULL;
}

char *layers_find_libc(char *const *layers)
{
        STRV_FOREACH(layer, layers) {
                _cleanup_close_ int fd = open(*layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                char *libc = fd >= 0 ? find_glibc(fd) : NULL;

                if (!libc && fd >= 0)
                        libc = find_musl(fd);
                if (libc)
                        return libc;
        }
        return NULL;
}

/* ---- ICU ---- */

static char *find_icu(int layer_fd)
{
        for (const char *const *folder = icu_folders; *folder; folder++) {
                _cleanup_close_ int fd = open_in_root(layer_fd, *folder, O_RDONLY | O_DIRECTORY);
                _cleanup_strv_ char **names = NULL;
                char *version = NULL;

                if (fd >= 0 && fs_list_directory(fd, ".", &names, NULL) == 0)
                        version = icu_version_among(names);
                if (version)
                        return version;
        }
        return NULL;
}

char *layers_find_collations(char *const *layers)
{
        char *libc = layers_find_libc(layers);

        STRV_FOREACH(layer, layers) {
                _cleanup_close_ int fd = open(*layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                _cleanup_free_ char *icu = libc && fd >= 0 ? find_icu(fd) : NULL;

                if (icu) {
                        free_and_replace(&libc, xasprintf("%s, ICU %s", libc, icu));
                        break;
                }
        }
        return libc;
}
