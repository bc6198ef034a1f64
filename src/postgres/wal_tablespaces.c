#include "postgres/wal_tablespaces.h"

#include <string.h>

#include "base/mem.h"

#define TABLESPACES 5u    /* RM_TBLSPC_ID */
#define CREATE      0x00u /* XLOG_TBLSPC_CREATE */
#define OPERATION   0xF0u

void wal_tablespaces_done(WalTablespaces *tablespaces)
{
        VECTOR_FOREACH(item, &tablespaces->found)
                free(item->location);
        vector_done(&tablespaces->found);
}

/* xl_tblspc_create_rec: the oid, and the path with its end. */
static void take_record(void *context, const WalRecords *records)
{
        WalTablespaces *tablespaces = context;
        const char *data;
        uint32_t size = 0, oid;

        if ((wal_record_info(records) & OPERATION) != CREATE)
                return;
        data = wal_record_data(records, &size);
        if (!data || size <= sizeof(oid) || data[size - 1] != '\0' || data[sizeof(oid)] != '/')
                return;
        memcpy(&oid, data, sizeof(oid));
        vector_add(&tablespaces->found, ((WalTablespace){ oid, xstrdup(data + sizeof(oid)) }));
}

void wal_tablespaces_read(WalTablespaces *tablespaces, Lsn start, const char *segment, size_t size)
{
        tablespaces->records.manager = TABLESPACES;
        wal_records_read(&tablespaces->records, start, segment, size, take_record, tablespaces);
}
