#include "postgres/replication.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

/* PostgreSQL counts its time in microseconds from 2000-01-01. */
#define EPOCH_2000_US    INT64_C(946684800000000)
#define OBJECT_IN_USE    "55006"
#define DUPLICATE_OBJECT "42710"
#define UNDEFINED_OBJECT "42704"

static int query_setting(PGconn *connection, const char *name, char **ret, Error **err)
{
        _cleanup_free_ char *statement = xasprintf("SHOW %s", name);

        return postgres_query_text(connection, statement, ret, err);
}

int replication_identify(PGconn *connection, ServerIdentity *ret, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        _cleanup_free_ char *segment = NULL, *checksums = NULL;
        int64_t segment_bytes = 0;
        int r = postgres_execute(connection, "IDENTIFY_SYSTEM", PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        *ret = (ServerIdentity){ .version = PQserverVersion(connection) };
        if (PQntuples(result) != 1 || PQnfields(result) < 3 ||
            sscanf(PQgetvalue(result, 0, 0), "%" SCNu64, &ret->system_identifier) != 1 ||
            sscanf(PQgetvalue(result, 0, 1), "%" SCNu32, &ret->timeline) != 1 ||
            !lsn_parse(PQgetvalue(result, 0, 2), &ret->flush_lsn))
                return error_set(err, ERROR_UNSUPPORTED, "the server does not identify itself as PostgreSQL does");
        r = query_setting(connection, "wal_segment_size", &segment, err);
        if (r == 0)
                r = query_setting(connection, "data_checksums", &checksums, err);
        if (r < 0)
                return r;
        if (!segment || !parse_size(segment, &segment_bytes) || segment_bytes < 1 << 20)
                return error_set(err, ERROR_UNSUPPORTED, "the server has a segment size of \"%s\"",
                                 segment ? segment : "");
        ret->segment_bytes = (uint32_t)segment_bytes;
        ret->data_checksums = checksums && streq(checksums, "on");
        return 0;
}

static bool has_state(const PGresult *result, const char *state)
{
        const char *found = PQresultErrorField(result, PG_DIAG_SQLSTATE);

        return found && streq(found, state);
}

int replication_create_slot(PGconn *connection, const char *slot, Error **err)
{
        /* Both forms, the old and that of 15, take these words. */
        _cleanup_free_ char *statement = xasprintf("CREATE_REPLICATION_SLOT \"%s\" PHYSICAL RESERVE_WAL", slot);
        _cleanup_result_ PGresult *result = PQexec(connection, statement);

        if (PQresultStatus(result) == PGRES_TUPLES_OK || has_state(result, DUPLICATE_OBJECT))
                return 0;
        return postgres_error(err, connection, result, "make a replication slot");
}

int replication_drop_slot(PGconn *connection, const char *slot, Error **err)
{
        _cleanup_free_ char *statement = xasprintf("DROP_REPLICATION_SLOT \"%s\" WAIT", slot);
        _cleanup_result_ PGresult *result = PQexec(connection, statement);

        if (PQresultStatus(result) == PGRES_COMMAND_OK || has_state(result, UNDEFINED_OBJECT))
                return 0;
        return postgres_error(err, connection, result, "drop the replication slot");
}

int replication_read_history(PGconn *connection, uint32_t timeline, Strbuf *ret, Error **err)
{
        _cleanup_free_ char *statement = xasprintf("TIMELINE_HISTORY %" PRIu32, timeline);
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(connection, statement, PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        if (PQntuples(result) != 1 || PQnfields(result) < 2)
                return error_set(err, ERROR_UNSUPPORTED, "the server's answer about timeline %u is not as expected",
                                 timeline);
        strbuf_add(ret, PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1));
        return 0;
}

/* ---- streaming ---- */

int replication_start(PGconn *connection, const char *slot, Lsn start, uint32_t timeline, Error **err)
{
        char place[LSN_TEXT_SIZE];
        _cleanup_free_ char *statement =
                xasprintf("START_REPLICATION %s%s%sPHYSICAL %s TIMELINE %" PRIu32, slot ? "SLOT \"" : "",
                          slot ? slot : "", slot ? "\" " : "", lsn_format(start, place), timeline);
        int r = postgres_execute(connection, statement, PGRES_COPY_BOTH, NULL, err);

        if (r == 0 && PQsetnonblocking(connection, 1) < 0)
                r = error_set(err, ERROR_INTERNAL, "the connection cannot be made non-blocking");
        return r;
}

static uint64_t read64(const char *bytes)
{
        uint64_t value;

        memcpy(&value, bytes, sizeof(value));
        return be64toh(value);
}

/* 'w' start end time data; 'k' end time reply */
static int parse_message(const char *buffer, size_t size, WalMessage *ret, Error **err)
{
        *ret = (WalMessage){ 0 };
        if (size >= 25 && buffer[0] == 'w') {
                ret->start = read64(buffer + 1);
                ret->server_end = read64(buffer + 9);
                ret->sent_ns = ((int64_t)read64(buffer + 17) + EPOCH_2000_US) * 1000;
                ret->data = buffer + 25;
                ret->size = size - 25;
        } else if (size >= 18 && buffer[0] == 'k') {
                ret->server_end = read64(buffer + 1);
                ret->reply_wanted = buffer[17] != 0;
        } else {
                return error_set(err, ERROR_UNSUPPORTED, "the server sent a message of an unknown kind");
        }
        return 1;
}

int replication_receive(PGconn *connection, WalMessage *ret, char **ret_buffer, Error **err)
{
        int n = PQgetCopyData(connection, ret_buffer, 1);

        if (n == 0) {
                if (!PQconsumeInput(connection))
                        return postgres_error(err, connection, NULL, "receive the log");
                n = PQgetCopyData(connection, ret_buffer, 1);
        }
        if (n == 0)
                return 0;
        if (n == -1)
                return error_set(err, ERROR_CANCELLED, "the server has ended the stream");
        if (n < 0)
                return postgres_error(err, connection, NULL, "receive the log");
        return parse_message(*ret_buffer, (size_t)n, ret, err);
}

static char *put64(char *to, uint64_t value)
{
        value = htobe64(value);
        memcpy(to, &value, sizeof(value));
        return to + sizeof(value);
}

int replication_send_status(PGconn *connection, Lsn written, Lsn flushed, bool reply_wanted, Error **err)
{
        char message[34] = { 'r' }, *to = message + 1;

        to = put64(to, written);
        to = put64(to, flushed);
        to = put64(to, flushed); /* nothing is applied here: who waits for that (remote_apply) need not wait longer */
        to = put64(to, (uint64_t)(clock_realtime_ns() / 1000 - EPOCH_2000_US));
        *to = (char)reply_wanted;
        if (PQputCopyData(connection, message, sizeof(message)) <= 0 || PQflush(connection) < 0)
                return postgres_error(err, connection, NULL, "acknowledge the log");
        return 0;
}

int replication_end(PGconn *connection, uint32_t *ret_timeline, Lsn *ret_start, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;

        *ret_timeline = 0;
        PQsetnonblocking(connection, 0);
        PQputCopyEnd(connection, NULL);
        PQflush(connection);
        result = PQgetResult(connection);
        if (PQresultStatus(result) == PGRES_COPY_OUT || PQresultStatus(result) == PGRES_COPY_IN) {
                PQclear(result);
                result = PQgetResult(connection);
        }
        if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 && PQnfields(result) >= 2)
                return sscanf(PQgetvalue(result, 0, 0), "%" SCNu32, ret_timeline) == 1 &&
                                       lsn_parse(PQgetvalue(result, 0, 1), ret_start)
                               ? 0
                               : error_set(err, ERROR_UNSUPPORTED, "the server's next timeline cannot be read");
        if (PQresultStatus(result) == PGRES_COMMAND_OK)
                return 0;
        return postgres_error(err, connection, result, "end the stream");
}
