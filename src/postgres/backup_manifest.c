#include "postgres/backup_manifest.h"

#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "state/document.h"

static const char last_line[] = "\"Manifest-Checksum\"";

/* Its last line holds the SHA-256 of all lines before. */
static int check_whole(const char *text, size_t length, const json_t *manifest, Error **err)
{
        const char *stated = json_get_string(manifest, "Manifest-Checksum", "");
        const char *line = memmem(text, length, last_line, strlen(last_line));
        _cleanup_free_ char *digits = line ? sha256_hex(text, (size_t)(line - text)) : NULL;

        if (!digits || !streq(digits, stated))
                return error_set(err, ERROR_CORRUPT, "the server's manifest does not match its own checksum");
        return 0;
}

/* Names that are not UTF-8 come in hexadecimal digits. */
static char *decode_path(const char *digits)
{
        size_t length = strlen(digits) / 2;
        char *path = xmalloc(length + 1);

        for (size_t i = 0; i < length; i++) {
                unsigned value = 0;
                sscanf(digits + 2 * i, "%2x", &value);
                path[i] = (char)value;
        }
        path[length] = '\0';
        return path;
}

/* Four bytes as they lie in the server's memory; servers of this program's machines are little-endian as it is. */
static bool parse_crc(const char *digits, uint32_t *ret)
{
        unsigned bytes[4];
        int used = 0;

        if (sscanf(digits, "%2x%2x%2x%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &used) != 4 || digits[used])
                return false;
        *ret = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24;
        return true;
}

static int add_file(Strmap *map, const json_t *item, Error **err)
{
        const char *encoded = json_get_string(item, "Encoded-Path", NULL);
        _cleanup_free_ char *path = encoded ? decode_path(encoded) : xstrdup(json_get_string(item, "Path", ""));
        ManifestFile file = { .size_bytes = (uint64_t)json_get_int(item, "Size", -1) }, *copy;

        if (isempty(path) || !streq(json_get_string(item, "Checksum-Algorithm", ""), "CRC32C") ||
            !parse_crc(json_get_string(item, "Checksum", ""), &file.crc32c))
                return error_set(err, ERROR_CORRUPT, "the server's manifest has an entry that cannot be read (\"%s\")", path);
        copy = xmemdup(&file, sizeof(file));
        strmap_set(map, path, copy);
        return 0;
}

int backup_manifest_parse(const char *text, size_t length, Strmap *ret, Error **err)
{
        _cleanup_json_ json_t *manifest = json_loadb(text, length, 0, NULL);
        json_t *files = json_object_get(manifest, "Files"), *item;
        size_t i;
        int r;

        if (!json_is_array(files))
                return error_set(err, ERROR_CORRUPT, "the server's manifest cannot be read");
        r = check_whole(text, length, manifest, err);
        ret->free_value = free;
        json_array_foreach(files, i, item) {
                if (r == 0)
                        r = add_file(ret, item, err);
        }
        return r;
}
