#include "postgres/backup_manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

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
                return error_set(err, ERROR_CORRUPT, "the server's manifest has an entry that cannot be read (\"%s\")",
                                 path);
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

/* ---- another one ---- */

static void format_crc(uint32_t crc, char text[9])
{
        snprintf(text, 9, "%02x%02x%02x%02x", crc & 0xff, crc >> 8 & 0xff, crc >> 16 & 0xff, crc >> 24);
}

/* Only names of relations and of the label change, which are plain. */
static void change_file(json_t *item, const ManifestChange *change)
{
        char crc[9];

        format_crc(change->file.crc32c, crc);
        json_object_set_new(item, "Path", json_string(change->to));
        json_object_set_new(item, "Size", json_integer((json_int_t)change->file.size_bytes));
        json_object_set_new(item, "Checksum", json_string(crc));
}

static void change_files(json_t *files, const ManifestChanges *changes)
{
        _cleanup_strmap_ Strmap by_path = STRMAP_INIT;
        json_t *item;
        size_t i;

        VECTOR_FOREACH(change, &changes->files)
                strmap_set(&by_path, change->from, change);
        json_array_foreach(files, i, item) {
                const ManifestChange *change = strmap_get(&by_path, json_get_string(item, "Path", ""));

                if (change)
                        change_file(item, change);
        }
}

static void add_value(Strbuf *text, const json_t *value)
{
        _cleanup_free_ char *line = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        strbuf_adds(text, line);
}

static void add_array(Strbuf *text, const char *name, const json_t *array)
{
        const json_t *item;
        size_t i;

        strbuf_addf(text, "\"%s\": [", name);
        json_array_foreach(array, i, item) {
                strbuf_adds(text, i ? ",\n" : "\n");
                add_value(text, item);
        }
        strbuf_adds(text, "],\n");
}

static void add_checksum(Strbuf *text)
{
        _cleanup_free_ char *digits = sha256_hex(strbuf_text(text), text->length);

        strbuf_addf(text, "\"Manifest-Checksum\": \"%s\"}\n", digits);
}

int backup_manifest_rewrite(const char *text, size_t length, const ManifestChanges *changes, Strbuf *ret, Error **err)
{
        _cleanup_json_ json_t *manifest = json_loadb(text, length, 0, NULL);
        const char *key;
        json_t *value;

        if (!json_is_array(json_object_get(manifest, "Files")))
                return error_set(err, ERROR_CORRUPT, "the server's manifest cannot be read");
        change_files(json_object_get(manifest, "Files"), changes);
        strbuf_adds(ret, "{ ");
        json_object_foreach(manifest, key, value) {
                if (streq(key, "Manifest-Checksum"))
                        continue;
                if (json_is_array(value)) {
                        add_array(ret, key, value);
                } else {
                        strbuf_addf(ret, "\"%s\": ", key);
                        add_value(ret, value);
                        strbuf_adds(ret, ",\n");
                }
        }
        add_checksum(ret);
        return 0;
}

/* ---- one of our own ---- */

#define FIRST_WITH_IDENTIFIER 170000

void backup_manifest_begin(Strbuf *text, int server_version, uint64_t system_identifier)
{
        bool with_identifier = server_version >= FIRST_WITH_IDENTIFIER;

        strbuf_addf(text, "{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n", with_identifier ? 2 : 1);
        if (with_identifier)
                strbuf_addf(text, "\"System-Identifier\": %" PRIu64 ",\n", system_identifier);
        strbuf_adds(text, "\"Files\": [");
}

static void add_path(Strbuf *text, const char *path)
{
        _cleanup_json_ json_t *value = json_string(path);

        strbuf_adds(text, value ? "\"Path\": " : "\"Encoded-Path\": \"");
        if (value) {
                add_value(text, value);
                return;
        }
        for (const unsigned char *byte = (const unsigned char *)path; *byte; byte++)
                strbuf_addf(text, "%02x", *byte);
        strbuf_addc(text, '"');
}

void backup_manifest_add(Strbuf *text, bool first, const char *path, const ManifestFile *file, int64_t mtime)
{
        time_t seconds = mtime;
        char crc[9], date[64];
        struct tm utc;

        gmtime_r(&seconds, &utc);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S GMT", &utc);
        format_crc(file->crc32c, crc);
        strbuf_adds(text, first ? "\n{ " : ",\n{ ");
        add_path(text, path);
        strbuf_addf(text,
                    ", \"Size\": %" PRIu64
                    ", \"Last-Modified\": \"%s\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"%s\" }",
                    file->size_bytes, date, crc);
}

void backup_manifest_end(Strbuf *text, uint32_t timeline, Lsn start_lsn, Lsn stop_lsn)
{
        char start[LSN_TEXT_SIZE], stop[LSN_TEXT_SIZE];

        strbuf_addf(text,
                    "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": %" PRIu32
                    ", \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }\n],\n",
                    timeline, lsn_format(start_lsn, start), lsn_format(stop_lsn, stop));
        add_checksum(text);
}
