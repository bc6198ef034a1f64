/* The replication protocol's commands (PostgreSQL's documentation, "Streaming Replication Protocol"), for servers from 13
 * on. On connections made with CONNECT_REPLICATION. */
#ifndef BERTH_POSTGRES_REPLICATION_H
#define BERTH_POSTGRES_REPLICATION_H

#include "base/strbuf.h"
#include "postgres/connect.h"
#include "postgres/wal_name.h"

typedef struct ServerIdentity {
        uint64_t system_identifier;
        uint32_t timeline;
        Lsn flush_lsn;
        int version; /* 150020 */
        uint32_t segment_bytes;
        bool data_checksums;
} ServerIdentity;

int replication_identify(PGconn *connection, ServerIdentity *ret, Error **err);

/* A physical slot that keeps the log from now on. An existing one of that name is as good. */
int replication_create_slot(PGconn *connection, const char *slot, Error **err);
int replication_drop_slot(PGconn *connection, const char *slot, Error **err);
/* "<timeline>.history" as the server has it. */
int replication_read_history(PGconn *connection, uint32_t timeline, Strbuf *ret, Error **err);

typedef struct WalMessage {
        const char *data; /* NULL: a keepalive */
        size_t size;
        Lsn start, server_end; /* start: of data */
        int64_t sent_ns;       /* of data: by the server's clock; realtime */
        bool reply_wanted;
} WalMessage;

/* Begins streaming (slot may be NULL). The connection is then in copy mode, non-blocking. */
int replication_start(PGconn *connection, const char *slot, Lsn start, uint32_t timeline, Error **err);
/* The next message: 1 with *ret filled (*ret_buffer to be freed by PQfreemem), 0: none now, wait for PQsocket;
 * ERROR_CANCELLED: the server ended this timeline or shut down, see replication_end. */
int replication_receive(PGconn *connection, WalMessage *ret, char **ret_buffer, Error **err);
int replication_send_status(PGconn *connection, Lsn written, Lsn flushed, bool reply_wanted, Error **err);
/* After ERROR_CANCELLED: the next timeline and where it begins; *ret_timeline 0 where there is none. */
int replication_end(PGconn *connection, uint32_t *ret_timeline, Lsn *ret_start, Error **err);

#endif
