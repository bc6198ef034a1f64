#include "postgres/migrate/plan.h"

#include <inttypes.h>

void migrate_plan_done(MigratePlan *plan)
{
        vector_done(&plan->steps);
        free(plan->failure);
        *plan = (MigratePlan){ 0 };
}

static int missing(uint64_t version, Error **err)
{
        return error_set(err, ERROR_NOT_FOUND,
                         "no migration found for version %" PRIu64 ": read down for version %" PRIu64
                         " .: file does not exist",
                         version, version);
}

/* The index of the database's version, -1 for none. */
static int find_current(const MigrationSource *source, int64_t current, ssize_t *ret, Error **err)
{
        *ret = -1;
        if (current < 0)
                return 0;
        *ret = migration_source_find(source, (uint64_t)current);
        return *ret < 0 ? missing((uint64_t)current, err) : 0;
}

static void add_step(MigratePlan *plan, const Migration *migration, bool up, int64_t target)
{
        const MigrationFile *half = up ? &migration->up : &migration->down;

        vector_add(&plan->steps, (MigrateStep){ .version = migration->version,
                                                .target = target,
                                                .up = up,
                                                .file = half->file,
                                                .name = half->file ? half->name : "<empty>" });
}

static void add_up(MigratePlan *plan, const MigrationSource *source, size_t index)
{
        const Migration *migration = &source->migrations.items[index];

        add_step(plan, migration, true, (int64_t)migration->version);
}

static void add_down(MigratePlan *plan, const MigrationSource *source, size_t index)
{
        add_step(plan, &source->migrations.items[index], false,
                 index > 0 ? (int64_t)source->migrations.items[index - 1].version : MIGRATE_NIL_VERSION);
}

static void finish(MigratePlan *plan, int64_t limit)
{
        int64_t done = (int64_t)plan->steps.length;

        if (limit == MIGRATE_ALL)
                plan->no_change = done == 0;
        else if (done == 0)
                plan->failure = xstrdup("file does not exist");
        else if (done < limit)
                plan->failure = xasprintf("limit %" PRId64 " short", limit - done);
}

/* 1: *ret_index is where the database stands; 0: a limit of none, and nothing else counts. */
static int begin(const MigrationSource *source, int64_t current, int64_t limit, MigratePlan *ret, ssize_t *ret_index,
                 Error **err)
{
        int r;

        *ret = (MigratePlan){ .no_change = limit == 0 };
        if (limit == 0)
                return 0;
        r = find_current(source, current, ret_index, err);
        return r < 0 ? r : 1;
}

static bool has_room(const MigratePlan *plan, int64_t limit)
{
        return limit == MIGRATE_ALL || (int64_t)plan->steps.length < limit;
}

int migrate_plan_up(const MigrationSource *source, int64_t current, int64_t limit, MigratePlan *ret, Error **err)
{
        ssize_t index;
        int r = begin(source, current, limit, ret, &index, err);

        if (r <= 0)
                return r;
        if (source->migrations.length == 0) {
                ret->failure = xstrdup("first .: file does not exist");
                return 0;
        }
        for (size_t i = (size_t)(index + 1); i < source->migrations.length && has_room(ret, limit); i++)
                add_up(ret, source, i);
        finish(ret, limit);
        return 0;
}

int migrate_plan_down(const MigrationSource *source, int64_t current, int64_t limit, MigratePlan *ret, Error **err)
{
        ssize_t index;
        int r = begin(source, current, limit, ret, &index, err);

        if (r <= 0)
                return r;
        for (ssize_t i = index; i >= 0 && has_room(ret, limit); i--)
                add_down(ret, source, (size_t)i);
        finish(ret, limit);
        return 0;
}

int migrate_plan_goto(const MigrationSource *source, int64_t current, uint64_t version, MigratePlan *ret, Error **err)
{
        ssize_t from, to;
        int r;

        *ret = (MigratePlan){ 0 };
        r = find_current(source, current, &from, err);
        if (r < 0)
                return r;
        to = migration_source_find(source, version);
        if (to < 0)
                return missing(version, err);
        ret->no_change = from == to;
        for (ssize_t i = from + 1; i <= to; i++)
                add_up(ret, source, (size_t)i);
        for (ssize_t i = from; i > to; i--)
                add_down(ret, source, (size_t)i);
        return 0;
}
