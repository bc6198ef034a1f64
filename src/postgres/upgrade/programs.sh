# The steps of an upgrade by pg_upgrade. They run in a container of the new major's image that has the programs of both
# and the new volume, while the old server goes on: what is upgraded is a copy of its files. Those that write run as the
# owner of the data. steps.sh comes after this.
inner=${PGDATA:-}/.berth-upgrade

# The folder of a major's programs, where this image has one.
programs_of() {
    for folder in "/usr/lib/postgresql/$1/bin" "/usr/libexec/postgresql$1" "/usr/local/lib/postgresql/$1/bin" \
        "$(dirname "$(command -v postgres || echo /nowhere/x)")"; do
        case $("$folder/postgres" -V 2>/dev/null) in
            "postgres (PostgreSQL) $1"[.\ a-z]* | "postgres (PostgreSQL) $1") echo "$folder"; return ;;
        esac
    done
    return 1
}

# "OLD-FOLDER NEW-FOLDER", or status 1 with what is missing.
step_programs() {
    before=$(programs_of "$1") || fail "the image of PostgreSQL $2 has no programs of $1 in /usr/lib/postgresql/$1/bin"
    after=$(programs_of "$2") || fail "the image has no programs of PostgreSQL $2"
    for program in pg_ctl pg_controldata pg_resetwal; do
        [ -x "$before/$program" ] || fail "the image has no $before/$program"
    done
    for program in initdb pg_ctl pg_upgrade pg_dump pg_dumpall pg_restore psql; do
        [ -x "$after/$program" ] || fail "the image has no $after/$program"
    done
    echo "$before $after"
}

# What stands against a copy of the old server's files, a line each.
step_physical_obstacles() {
    [ ! -L "$PGDATA/pg_wal" ] || echo "the log lies in a folder of its own, outside of the data"
    step_databases | while IFS= read -r name; do
        old -d "$(named "$name")" -At <<'SQL'
SELECT 'table ' || c.oid::regclass || ' in database ' || quote_ident(current_database()) || ' is unlogged, and a copy of a running server has it empty'
FROM pg_class c WHERE relpersistence = 'u' AND relkind = 'r' AND pg_relation_size(c.oid) > 0 ORDER BY 1 LIMIT 3;
SQL
    done
}

# The first superuser, then the words for initdb that make a cluster of the same kind; a line each.
step_kind() {
    old -d template1 -At -v "new=$1" <<'SQL'
SELECT rolname FROM pg_roles WHERE oid = 10;
SELECT unnest(ARRAY['--encoding=' || pg_encoding_to_char(encoding), '--lc-collate=' || datcollate, '--lc-ctype=' || datctype])
FROM pg_database WHERE datname = 'template0';
SELECT '--lc-' || n || '=' || current_setting('lc_' || n) FROM unnest(ARRAY['messages', 'monetary', 'numeric', 'time']) n;
SELECT '--wal-segsize=' || pg_size_bytes(current_setting('wal_segment_size')) / 1048576;
SELECT '--allow-group-access' WHERE current_setting('data_directory_mode') = '0750';
SELECT CASE WHEN current_setting('data_checksums') = 'on' THEN '--data-checksums' WHEN :new >= 18 THEN '--no-data-checksums' END
WHERE current_setting('data_checksums') = 'on' OR :new >= 18;
SELECT current_setting('server_version_num')::int >= 150000 AS has_provider, current_setting('server_version_num')::int >= 170000 AS has_builtin \gset
\if :has_provider
SELECT '--locale-provider=' || CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END
FROM pg_database WHERE datname = 'template0';
\if :has_builtin
SELECT CASE datlocprovider WHEN 'i' THEN '--icu-locale=' ELSE '--builtin-locale=' END || datlocale
FROM pg_database WHERE datname = 'template0' AND datlocprovider <> 'c';
\else
SELECT '--icu-locale=' || daticulocale FROM pg_database WHERE datname = 'template0' AND datlocprovider = 'i';
\endif
\endif
SQL
}

# Settings without which the old files, or what extensions left in them, could not be read.
step_essentials() {
    old -d template1 -At <<'SQL'
SELECT name || ' = ''' || replace(setting, '''', '''''') || '''' FROM pg_settings WHERE setting <> '' AND name IN ('max_connections',
    'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction',
    'shared_preload_libraries', 'autovacuum_max_workers', 'superuser_reserved_connections') ORDER BY name;
SQL
}

# By whose rules text is sorted: "LIBC/ICU".
versions="SELECT coalesce(max(pg_collation_actual_version(oid)) FILTER (WHERE collprovider = 'c'), '') || '/' || coalesce(max(pg_collation_actual_version(oid)) FILTER (WHERE collname = 'und-x-icu'), '') FROM pg_collation"
step_versions() {
    old -d template1 -Atc "$versions"
}

# "UID:GID" of who owns the data here; as root.
step_prepare() {
    owner=$(awk '/^[UG]id:/ {print $2}' /proc/1/status | paste -s -d : -)
    [ "${owner%%:*}" != 0 ] || owner=$(id -u postgres):$(id -g postgres)
    [ -z "$(ls -A "$PGDATA" 2>/dev/null | grep -v -x lost+found)" ] || fail "the new volume is not empty"
    mkdir -p "$PGDATA"
    umask 077
    mkdir -p "$inner/old"
    chown "$owner" "$PGDATA" "$inner" "$inner/old"
    chmod 0700 "$PGDATA"
    echo "$owner"
}

# NEW-FOLDER SUPERUSER ESSENTIALS WORD…: an empty cluster of the same kind. Prints its "LIBC/ICU".
step_empty() {
    folder=$1 superuser=$2
    printf '%s\n' "$3" >"$inner/essentials"
    shift 3
    unset PGUSER PGPASSWORD PGOPTIONS
    cd "$inner"
    printf '%s' "$superuser" >superuser
    "$folder/initdb" -D "$inner/new" -N -A trust -U "$superuser" "$@" >log 2>&1 || { tail -n 3 log >&2; exit 1; }
    printf '%s\n' "$versions" | "$folder/postgres" --single -D "$inner/new" template1 2>/dev/null | sed -n 's/.*= "\([^"]*\)".*/\1/p' | tail -n 1
}

# After the files were copied: all belong to the owner; as root. Then, as the owner, the copy is recovered.
step_own() {
    chown -R "$1" "$inner/old"
    chmod -R go= "$inner/old"
}

step_recover() {
    folder=$1
    printf '%s\n' "$2" >"$inner/old/backup_label"
    unset PGUSER PGPASSWORD PGOPTIONS
    cd "$inner/old"
    rm -f postgresql.auto.conf standby.signal recovery.signal
    { cat "$inner/essentials"; echo "archive_mode = off"; } >postgresql.conf
    echo "local all all trust" >pg_hba.conf
    : >pg_ident.conf
    "$folder/pg_ctl" -D "$inner/old" -s -w -t 86400 -l "$inner/log.recovery" -o "-c listen_addresses= -c unix_socket_directories=$inner -c fsync=off -c autovacuum=off -p 50432" start ||
        { grep -E 'FATAL|PANIC|ERROR' "$inner/log.recovery" | tail -n 3 >&2; fail "the copy of the old server's files does not start"; }
    "$folder/pg_ctl" -D "$inner/old" -s -w -t 86400 -m fast stop
    "$folder/pg_controldata" "$inner/old" | grep -q 'state: *shut down$' || fail "the copy of the old server's files was not shut down in good order"
}

# What pg_upgrade says where it ends, and the lists that it refers to.
explain() {
    awk '/^(Checking|Creating|Performing|Setting|Restoring|Copying|Linking)/ {last = ""} {last = last $0 "\n"} END {printf "%s", last}' "$inner/log" |
        grep -v -e '^ *$' -e 'pg_upgrade_output' | head -n 12 >&2
    find "$inner/new/pg_upgrade_output.d" "$inner" -maxdepth 2 -name '*.txt' -exec head -n 5 {} \; 2>/dev/null | head -n 12 >&2
    exit 1
}

step_pg_upgrade() {
    before=$1 after=$2 jobs=$3
    unset PGUSER PGPASSWORD PGOPTIONS
    cd "$inner"
    superuser=$(cat superuser)
    cp new/postgresql.conf conf.new
    cat essentials >>new/postgresql.conf
    sync=
    ! "$after/pg_upgrade" --help | grep -q -e --no-sync || sync=--no-sync
    "$after/pg_upgrade" -b "$before" -B "$after" -d "$inner/old" -D "$inner/new" -U "$superuser" -j "$jobs" -k -s "$inner" -p 50432 \
        -P 50433 $sync >log 2>&1 || explain
    mv conf.new new/postgresql.conf
    [ ! -e update_extensions.sql ] || mv update_extensions.sql new/.berth-extensions.sql
}

# The new cluster takes its place; as root.
step_place() {
    rm -rf "$inner/old"
    for path in "$inner"/new/* "$inner"/new/.[!.]*; do
        [ ! -e "$path" ] || mv "$path" "$PGDATA/"
    done
    rm -rf "$inner"
}

# In the new server's container.
step_extensions() {
    [ -e "$PGDATA/.berth-extensions.sql" ] || return 0
    new -d template1 -f "$PGDATA/.berth-extensions.sql" >/dev/null
    rm "$PGDATA/.berth-extensions.sql"
}

step_reindex() {
    new -d template1 -Atc "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1" | while IFS= read -r name; do
        new -d "$(named "$name")" <<'SQL'
SELECT format('REINDEX DATABASE %I', current_database()) \gexec
SELECT current_setting('server_version_num')::int >= 150000 AS has_version \gset
\if :has_version
SELECT format('ALTER DATABASE %I REFRESH COLLATION VERSION', current_database()) \gexec
\endif
SELECT format('ALTER COLLATION %I.%I REFRESH VERSION', nspname, collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE collversion IS NOT NULL AND collversion <> pg_collation_actual_version(c.oid) \gexec
SQL
    done
}

# A backup of the old server begins, "held" is said; it ends with standard input, and its label is printed.
step_snapshot() {
    if [ "$(old -d template1 -Atc "SELECT current_setting('server_version_num')::int >= 150000")" = t ]; then
        begin="pg_backup_start('berth-upgrade', true)" end="pg_backup_stop(false)"
    else
        begin="pg_start_backup('berth-upgrade', true, false)" end="pg_stop_backup(false, false)"
    fi
    exec 3<&0
    {
        cat <<SQL
SET client_min_messages = warning;
SELECT set_config(name, '0', false) FROM pg_settings WHERE name LIKE 'idle%timeout' \g /dev/null
SELECT $begin \g /dev/null
\echo held
SQL
        cat <&3
        echo "SELECT labelfile FROM $end;"
    } | old -d template1 -At
}
