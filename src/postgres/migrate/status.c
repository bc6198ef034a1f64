#include "postgres/migrate/status.h"

#include <stdlib.h>

static const char *const names[_MIGRATION_CONDITION_MAX] = {
        [MIGRATION_APPLIED] = "applied", [MIGRATION_PENDING] = "pending",           [MIGRATION_DIRTY] = "dirty",
        [MIGRATION_CHANGED] = "changed", [MIGRATION_OUT_OF_ORDER] = "out of order", [MIGRATION_MISSING] = "missing",
};

const char *migration_condition_name(MigrationCondition condition)
{
        return names[condition];
}

static int has_changed(const MigrationSource *source, const Migration *migration, const MigrationRecord *record,
                       bool *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *checksum = NULL;
        int r;

        *ret = false;
        if (!migration->up.file || !record->checksum) {
                *ret = record->checksum || (migration->up.file && !record->adopted);
                return 0;
        }
        r = migration_source_read(source, migration->up.file, &text, err);
        if (r < 0)
                return r;
        checksum = migration_checksum(&text);
        *ret = !streq(checksum, record->checksum);
        return 0;
}

static int condition_of(const MigrationSource *source, const MigrationHistory *history, const Migration *migration,
                        int64_t current, bool dirty, MigrationCondition *ret, Error **err)
{
        const MigrationRecord *record = migration_history_find(history, migration->version);
        const MigrationRecord *last =
                history->records.length ? &history->records.items[history->records.length - 1] : NULL;
        bool changed = false;
        int r = 0;

        if (current < 0 || migration->version > (uint64_t)current)
                *ret = MIGRATION_PENDING;
        else if (dirty && migration->version == (uint64_t)current)
                *ret = MIGRATION_DIRTY;
        else if (record) {
                r = has_changed(source, migration, record, &changed, err);
                *ret = changed ? MIGRATION_CHANGED : MIGRATION_APPLIED;
        } else /* what is later than the history's end was applied by another tool, and is not noted yet */
                *ret = last && migration->version < last->version ? MIGRATION_OUT_OF_ORDER : MIGRATION_APPLIED;
        return r;
}

static void add_missing(const MigrationSource *source, const MigrationHistory *history, int64_t current,
                        MigrationStatuses *statuses)
{
        VECTOR_FOREACH(record, &history->records)
                if (current >= 0 && record->version <= (uint64_t)current &&
                    migration_source_find(source, record->version) < 0)
                        vector_add(statuses, (MigrationStatus){ .version = record->version,
                                                                .condition = MIGRATION_MISSING,
                                                                .name = record->name,
                                                                .applied_at = record->applied_at });
}

static int compare(const void *a, const void *b)
{
        const MigrationStatus *left = a, *right = b;

        return (left->version > right->version) - (left->version < right->version);
}

int migration_status(const MigrationSource *source, const MigrationHistory *history, int64_t current, bool dirty,
                     MigrationStatuses *ret, Error **err)
{
        VECTOR_FOREACH(migration, &source->migrations) {
                const MigrationRecord *record = migration_history_find(history, migration->version);
                const MigrationFile *half = migration->up.file ? &migration->up : &migration->down;
                MigrationStatus status = { .version = migration->version,
                                           .name = half->name,
                                           .file = migration->up.file };
                int r = condition_of(source, history, migration, current, dirty, &status.condition, err);

                if (r < 0)
                        return r;
                if (record && status.condition != MIGRATION_PENDING)
                        status.applied_at = record->applied_at;
                vector_add(ret, status);
        }
        add_missing(source, history, current, ret);
        if (ret->length > 1)
                qsort(ret->items, ret->length, sizeof(MigrationStatus), compare);
        return 0;
}
