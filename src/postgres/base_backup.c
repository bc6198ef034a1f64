#include "postgres/base_backup.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/mem.h"

#define FIRST_WITH_ONE_STREAM 150000

typedef struct Reception {
        PGconn *connection;
        const BaseBackupSink *sink;
        int cancel_fd;
        bool in_manifest;
} Reception;

static char *quote(PGconn *connection, const char *text)
{
        char *quoted = PQescapeLiteral(connection, text, strlen(text)), *copy = xstrdup(quoted ? quoted : "''");

        PQfreemem(quoted);
        return copy;
}

/* The manifest's checksums are CRC-32C: ours are the chunks' SHA-256, and these are the cheapest way to see that what came is
 * what the server read. */
static char *build_command(PGconn *connection, const BaseBackupOptions *options)
{
        _cleanup_free_ char *label = quote(connection, options->label), *rate = NULL;

        if (PQserverVersion(connection) >= FIRST_WITH_ONE_STREAM) {
                rate = options->max_rate_kib ? xasprintf(", MAX_RATE %" PRId64, options->max_rate_kib) : xstrdup("");
                return xasprintf("BASE_BACKUP (LABEL %s, PROGRESS, CHECKPOINT '%s', WAL, WAIT false%s, MANIFEST 'yes', "
                                 "MANIFEST_CHECKSUMS 'CRC32C'%s)",
                                 label, options->fast_checkpoint ? "fast" : "spread", rate,
                                 options->incremental ? ", INCREMENTAL" : "");
        }
        rate = options->max_rate_kib ? xasprintf(" MAX_RATE %" PRId64, options->max_rate_kib) : xstrdup("");
        return xasprintf("BASE_BACKUP LABEL %s PROGRESS%s WAL NOWAIT%s MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'",
                         label, options->fast_checkpoint ? " FAST" : "", rate);
}

static void on_notice(void *context, const PGresult *result)
{
        const BaseBackupSink *sink = context;
        const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

        if (text && sink->warning)
                sink->warning(sink->context, text);
}

/* ---- results before and after the data ---- */

static int next_result(Reception *reception, ExecStatusType wanted, PGresult **ret, Error **err)
{
        _cleanup_result_ PGresult *result = PQgetResult(reception->connection);

        if (PQresultStatus(result) != wanted)
                return postgres_error(err, reception->connection, result, "base backup");
        *ret = TAKE_PTR(result);
        return 0;
}

static int read_place(const PGresult *result, Lsn *ret_lsn, uint32_t *ret_timeline, Error **err)
{
        if (PQntuples(result) != 1 || PQnfields(result) < 2 || !lsn_parse(PQgetvalue(result, 0, 0), ret_lsn) ||
            sscanf(PQgetvalue(result, 0, 1), "%" SCNu32, ret_timeline) != 1)
                return error_set(err, ERROR_UNSUPPORTED, "the server does not say where its backup begins or ends");
        return 0;
}

/* Columns: oid and location (both null for the data folder), size in KiB. */
static uint64_t total_of(const PGresult *tablespaces)
{
        uint64_t total = 0, size;

        for (int i = 0; i < PQntuples(tablespaces); i++)
                if (!PQgetisnull(tablespaces, i, 2) && sscanf(PQgetvalue(tablespaces, i, 2), "%" SCNu64, &size) == 1)
                        total += size * 1024;
        return total;
}

/* ---- data ---- */

static bool is_cancelled(const Reception *reception)
{
        struct pollfd item = { .fd = reception->cancel_fd, .events = POLLIN };

        return reception->cancel_fd >= 0 && poll(&item, 1, 0) > 0;
}

/* From 15: 'n' name\0 location\0, 'm', 'd' data, 'p' number. */
static int take_typed(Reception *reception, const char *message, size_t size, Error **err)
{
        const BaseBackupSink *sink = reception->sink;

        if (size < 1)
                return error_set(err, ERROR_UNSUPPORTED, "the server sent an empty message");
        switch (message[0]) {
        case 'd':
                return reception->in_manifest ? sink->manifest(sink->context, message + 1, size - 1, err)
                                              : sink->data(sink->context, message + 1, size - 1, err);
        case 'p':
                return 0;
        case 'm':
                reception->in_manifest = true;
                return 0;
        case 'n': {
                _cleanup_free_ char *oid = NULL;
                const char *name = message + 1, *location;
                size_t length = strnlen(name, size - 1);

                if (length + 2 > size || memchr(name + length + 1, '\0', size - length - 2) == NULL)
                        return error_set(err, ERROR_UNSUPPORTED, "the server names an archive in an unknown way");
                location = name + length + 1;
                oid = *location ? xstrndup(name, strcspn(name, ".")) : NULL;
                return sink->archive(sink->context, oid, *location ? location : NULL, err);
        }
        default:
                return error_set(err, ERROR_UNSUPPORTED, "the server sent a message of the unknown kind '%c'",
                                 message[0]);
        }
}

typedef int (*TakeMessage)(Reception *reception, const char *message, size_t size, Error **err);

static int take_tar(Reception *reception, const char *message, size_t size, Error **err)
{
        return reception->sink->data(reception->sink->context, message, size, err);
}

static int take_manifest(Reception *reception, const char *message, size_t size, Error **err)
{
        return reception->sink->manifest(reception->sink->context, message, size, err);
}

static int read_stream(Reception *reception, TakeMessage take, Error **err)
{
        _cleanup_result_ PGresult *begin = NULL;
        int r = next_result(reception, PGRES_COPY_OUT, &begin, err);

        while (r == 0) {
                char *message = NULL;
                int n = PQgetCopyData(reception->connection, &message, 0);

                if (n == -1)
                        return 0;
                if (n < 0)
                        return postgres_error(err, reception->connection, NULL, "base backup");
                r = take(reception, message, (size_t)n, err);
                PQfreemem(message);
                if (r == 0 && is_cancelled(reception))
                        r = error_set(err, ERROR_CANCELLED, "cancelled");
        }
        return r;
}

/* 13 and 14: a stream for each tablespace in the order of the table, then the manifest's. */
static int read_streams(Reception *reception, const PGresult *tablespaces, Error **err)
{
        for (int i = 0; i < PQntuples(tablespaces); i++) {
                bool is_main = PQgetisnull(tablespaces, i, 0);
                int r = reception->sink->archive(reception->sink->context,
                                                 is_main ? NULL : PQgetvalue(tablespaces, i, 0),
                                                 is_main ? NULL : PQgetvalue(tablespaces, i, 1), err);

                if (r == 0)
                        r = read_stream(reception, take_tar, err);
                if (r < 0)
                        return r;
        }
        return read_stream(reception, take_manifest, err);
}

static int receive(Reception *reception, Lsn *ret_stop_lsn, uint32_t *ret_timeline, Error **err)
{
        _cleanup_result_ PGresult *start = NULL, *tablespaces = NULL, *stop = NULL;
        BaseBackupBegin begin = { 0 };
        int r = next_result(reception, PGRES_TUPLES_OK, &start, err);

        if (r == 0)
                r = read_place(start, &begin.start_lsn, &begin.timeline, err);
        if (r == 0)
                r = next_result(reception, PGRES_TUPLES_OK, &tablespaces, err);
        if (r < 0)
                return r;
        begin.total_bytes = total_of(tablespaces);
        r = reception->sink->begin(reception->sink->context, &begin, err);
        if (r == 0)
                r = PQserverVersion(reception->connection) >= FIRST_WITH_ONE_STREAM
                            ? read_stream(reception, take_typed, err)
                            : read_streams(reception, tablespaces, err);
        if (r == 0)
                r = next_result(reception, PGRES_TUPLES_OK, &stop, err);
        if (r == 0)
                r = read_place(stop, ret_stop_lsn, ret_timeline, err);
        return r;
}

int base_backup_run(PGconn *connection, const BaseBackupOptions *options, const BaseBackupSink *sink, int cancel_fd,
                    Lsn *ret_stop_lsn, uint32_t *ret_timeline, Error **err)
{
        _cleanup_free_ char *command = build_command(connection, options);
        Reception reception = { .connection = connection, .sink = sink, .cancel_fd = cancel_fd };
        PGresult *rest;
        int r;

        PQsetNoticeReceiver(connection, on_notice, (void *)sink);
        if (!PQsendQuery(connection, command))
                return postgres_error(err, connection, NULL, "base backup");
        r = receive(&reception, ret_stop_lsn, ret_timeline, err);
        if (r < 0)
                return r;
        /* What is wrong with the whole (a page's checksum) is said at the very end. */
        while ((rest = PQgetResult(connection))) {
                if (r == 0 && PQresultStatus(rest) != PGRES_COMMAND_OK)
                        r = postgres_error(err, connection, rest, "base backup");
                PQclear(rest);
        }
        return r;
}

#define UPLOAD_BYTES ((size_t)64 << 10)

/* UPLOAD_MANIFEST: COPY in, then a result. */
int base_backup_upload_manifest(PGconn *connection, const char *text, size_t length, Error **err)
{
        _cleanup_result_ PGresult *begin = PQexec(connection, "UPLOAD_MANIFEST");
        PGresult *rest;
        int r = 0;

        if (PQresultStatus(begin) != PGRES_COPY_IN)
                return postgres_error(err, connection, begin, "upload a manifest");
        for (size_t at = 0, n; r == 0 && at < length; at += n) {
                n = MIN(length - at, UPLOAD_BYTES);
                if (PQputCopyData(connection, text + at, (int)n) != 1)
                        r = postgres_error(err, connection, NULL, "upload a manifest");
        }
        if (r == 0 && PQputCopyEnd(connection, NULL) != 1)
                r = postgres_error(err, connection, NULL, "upload a manifest");
        while ((rest = PQgetResult(connection))) {
                if (r == 0 && PQresultStatus(rest) != PGRES_COMMAND_OK)
                        r = postgres_error(err, connection, rest, "upload a manifest");
                PQclear(rest);
        }
        return r;
}
