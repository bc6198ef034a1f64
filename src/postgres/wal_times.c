#include "postgres/wal_times.h"

#include <string.h>

#define TRANSACTIONS    1u    /* RM_XACT_ID */
#define OPERATION       0x70u /* XLOG_XACT_OPMASK */
#define COMMIT          0x00u
#define ABORT           0x20u
#define COMMIT_PREPARED 0x30u
#define ABORT_PREPARED  0x40u
#define EPOCH_2000_US   INT64_C(946684800000000)

/* Each begins with its time: microseconds since 2000 (xl_xact_commit, xl_xact_abort). */
static void take_record(void *context, const WalRecords *records)
{
        uint8_t operation = wal_record_info(records) & OPERATION;
        WalTimes *times = context;
        const char *data;
        uint32_t size = 0;
        int64_t time_us;

        if (operation != COMMIT && operation != ABORT && operation != COMMIT_PREPARED && operation != ABORT_PREPARED)
                return;
        data = wal_record_data(records, &size);
        if (!data || size < sizeof(time_us) || !wal_record_is_whole(records))
                return;
        memcpy(&time_us, data, sizeof(time_us));
        if (time_us > -EPOCH_2000_US && time_us < INT64_MAX / 1000 - EPOCH_2000_US)
                times->latest_ns = MAX(times->latest_ns, (time_us + EPOCH_2000_US) * 1000);
}

void wal_times_read(WalTimes *times, Lsn start, const char *segment, size_t size)
{
        times->records.manager = TRANSACTIONS;
        wal_records_read(&times->records, start, segment, size, take_record, times);
}
