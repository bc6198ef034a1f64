# The steps of an upgrade by dump and restore. What copies runs in a container of the new major, which shares the network
# of the old server: "new" is reached over its socket, "old" over loopback, with the newer clients. What holds writers
# back runs in the old server's own container, so that it outlives the other one.
# usage: sh -c THIS upgrade STEP [ARGUMENT]
set -eu
work=/tmp/berth-upgrade
hold=/dev/shm/berth-upgrade
port=${PGPORT:-5432}

value() {
    eval "v=\${$1:-}"
    eval "f=\${$1_FILE:-}"
    [ -n "$v" ] || [ -z "$f" ] || v=$(cat "$f")
    printf %s "$v"
}
PGUSER=$(value POSTGRES_USER) PGPASSWORD=$(value POSTGRES_PASSWORD)
PGUSER=${PGUSER:-postgres}
export PGUSER PGPASSWORD PGAPPNAME=berth-upgrade PGCONNECT_TIMEOUT=10 PGOPTIONS='-c statement_timeout=0 -c lock_timeout=60s'
unset PGDATABASE PGHOST

old() { psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" "$@"; }
new() { psql -X -q -v ON_ERROR_STOP=1 -p "$port" "$@"; }
fail() { echo "$*" >&2; exit 1; }

# A connection string for any name of a database.
named() { printf "dbname='%s'" "$(printf %s "$1" | sed "s/[\\\\']/\\\\&/g")"; }

# Once the final server is PID 1 and answers: the one of a first start does not count.
step_wait() {
    tries=0
    until [ "$(cat /proc/1/comm)" = postgres ] && new -d template1 -c 'SELECT 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || fail "the new server does not answer"
        sleep 0.1
    done
    rm -rf $work
    mkdir -m 0700 $work
}

# What this way cannot carry, a line each; nothing where all is well.
step_obstacles() {
    old -d template1 -At <<'SQL'
SELECT 'a prepared transaction is open: ' || gid FROM pg_prepared_xacts;
SELECT 'there is a tablespace of your own: ' || spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global');
SELECT 'database ' || quote_ident(datname) || ' accepts no connections' FROM pg_database WHERE NOT datallowconn AND datname <> 'template0';
SELECT 'the name of a database holds a newline' FROM pg_database WHERE strpos(datname, chr(10)) > 0;
SELECT 'the role ' || quote_ident(current_user) || ' is no superuser' WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
SQL
}

# What stays behind, a line each: worth knowing, no obstacle.
step_remarks() {
    old -d template1 -At <<'SQL'
SELECT 'the replication slot ' || slot_name || ' is not carried over' FROM pg_replication_slots WHERE slot_name <> 'berth';
SELECT 'the subscription ' || subname || ' arrives disabled' FROM pg_subscription;
SQL
}

step_databases() {
    old -d template1 -Atc "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0' ORDER BY 1"
}

# Writers wait and readers go on for as long as standard input is open: the locks end with it, however it ends.
# Where the locks are not had after $2 seconds nothing is left waiting for them, since whoever comes then waits behind that.
step_hold() {
    hold=$hold.$1
    limit=$2
    PGOPTIONS="-c statement_timeout=0 -c lock_timeout=$((limit + 5))s" # should we be killed
    rm -rf $hold
    mkdir -m 0700 $hold
    "lock_$1" >$hold/lock.sql
    hold_all
}

# Large objects come later: whoever reads one asks for a writer's lock, the dump too.
lock_objects() {
    printf 'BEGIN;\nLOCK TABLE pg_catalog.pg_largeobject IN SHARE MODE;\n\\echo held\n'
}

# Tables come before the catalogs, and pg_class last: whoever holds a table may still need the catalogs to get done, a
# transaction that makes something as well as autovacuum. What came in between is locked after them.
lock_tables() {
    cat <<'SQL'
SET idle_in_transaction_session_timeout = 0;
BEGIN;
\if :first
LOCK TABLE pg_catalog.pg_authid, pg_catalog.pg_auth_members, pg_catalog.pg_database, pg_catalog.pg_db_role_setting IN SHARE MODE;
\endif
SQL
    lock_each_table
    cat <<'SQL'
LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_type, pg_catalog.pg_namespace, pg_catalog.pg_extension,
    pg_catalog.pg_largeobject_metadata, pg_catalog.pg_class IN SHARE MODE;
SQL
    lock_each_table
    printf '%s\n' '\echo held'
}

lock_each_table() {
    cat <<'SQL'
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
            AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
    LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %I.%I IN SHARE MODE', item.nspname, item.relname);
        EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
            NULL; -- it went meanwhile
        END;
    END LOOP;
END $$;
SQL
}

# What all databases share is locked once, by the first session: a second one would wait behind whoever waits for the first.
# The sessions have no hand on our output: whoever reads it sees our end, also while they still hold. They end well in any case: where
# we are gone PID 1 is their parent, and a postmaster takes a child that ends with more than 1 for a crashed server process.
hold_all() {
    exec 3<&0
    n=0
    ticks=0
    first=true
    step_databases >$hold/names
    while IFS= read -r name; do
        n=$((n + 1))
        (
            exec >$hold/out.$n 2>&1
            { printf '%s\n' 'SELECT pg_backend_pid() AS pid \gset' '\echo session :pid'; cat $hold/lock.sql; exec cat <&3; } |
                old -v first=$first -d "$(named "$name")" || :
        ) &
        first=false
    done <$hold/names
    while :; do
        held=$(cat $hold/out.* | grep -c '^held$' || true)
        [ "$held" -lt $n ] || break
        if grep -h -E 'ERROR|FATAL|error:' $hold/out.* >&2; then give_up; fi
        ticks=$((ticks + 1))
        if [ $ticks -ge $((limit * 10)) ]; then
            blockers >&2
            echo "timed out" >&2
            give_up
        elif [ $((ticks % 100)) = 20 ]; then
            blockers | sed 's/^/waiting for /'
        fi
        sleep 0.1
    done
    echo held
    wait
}

# The sessions that hold what ours wait for, a line each.
own_sessions() { sed -n 's/^session \([0-9]*\)$/\1/p' $hold/out.* | tr '\n' ' '; }
blockers() {
    old -d template1 -At -v own="$(own_sessions)" <<'SQL'
SELECT DISTINCT format('session %s (%s), %s%s', a.pid, concat_ws(', ', 'user ' || quote_ident(usename), 'database ' || quote_ident(datname),
    nullif(application_name, ''), nullif(backend_type, 'client backend')), coalesce(state, 'at work'),
    ', in a transaction for ' || justify_interval(date_trunc('second', clock_timestamp() - xact_start)))
FROM regexp_split_to_table(trim(:'own'), ' +') own, unnest(pg_blocking_pids(nullif(own, '')::int)) b JOIN pg_stat_activity a ON a.pid = b
WHERE NOT a.pid::text = ANY (regexp_split_to_array(trim(:'own'), ' +')) ORDER BY 1;
SQL
}

# A session that waits for a lock does not see that its client is gone.
give_up() {
    old -d template1 -At -v own="$(own_sessions)" <<'SQL' >/dev/null || true
SELECT pg_terminate_backend(own::int) FROM regexp_split_to_table(trim(:'own'), ' +') own WHERE own <> '';
SQL
    exit 1
}

step_roles() {
    own=$(old -d template1 -Atc 'SELECT quote_ident(current_user)')
    pg_dumpall -h 127.0.0.1 -p "$port" -l template1 --roles-only >$work/roles.sql
    grep -v -x -F "CREATE ROLE $own;" $work/roles.sql | new -d template1 >/dev/null
    rm $work/roles.sql
}

step_copy() {
    jobs=$1
    name=$2
    pg_dump -h 127.0.0.1 -p "$port" -Fd -j "$jobs" -Z 1 -f $work/dump "$(named "$name")"
    if [ "$name" = template1 ]; then
        pg_restore -p "$port" -d template1 --exit-on-error -j "$jobs" $work/dump
    else
        pg_restore -p "$port" -d template1 --create --clean --if-exists --exit-on-error -j "$jobs" $work/dump
    fi
    rm -rf $work/dump
}

# Both sides are asked the same; what extensions made is theirs, and differs by version.
facts() {
    side=$1
    "$side" -d template1 -At <<'SQL'
SELECT 'role ' || quote_ident(rolname) || concat_ws(' ', '', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
    rolreplication, rolconnlimit, rolvaliduntil, md5(rolpassword)) FROM pg_authid WHERE rolname NOT LIKE 'pg\_%' ORDER BY 1;
SELECT 'member ' || quote_ident(r.rolname) || ' of ' || quote_ident(g.rolname) FROM pg_auth_members m
    JOIN pg_authid r ON r.oid = m.member JOIN pg_authid g ON g.oid = m.roleid WHERE r.rolname NOT LIKE 'pg\_%' ORDER BY 1;
SELECT 'database ' || quote_ident(datname) || concat_ws(' ', '', pg_encoding_to_char(encoding), datcollate, datctype,
    datconnlimit, pg_get_userbyid(datdba)) FROM pg_database WHERE datname NOT IN ('template0', 'template1') ORDER BY 1;
SQL
    while IFS= read -r name; do
        echo "in $name"
        "$side" -d "$(named "$name")" -At <<'SQL'
SELECT 'extension ' || quote_ident(extname) FROM pg_extension ORDER BY 1;
SELECT 'collation ' || quote_ident(nspname) || '.' || quote_ident(collname) FROM pg_collation c
    JOIN pg_namespace n ON n.oid = c.collnamespace WHERE nspname <> 'pg_catalog' ORDER BY 1;
SELECT 'objects ' || quote_ident(nspname) || ' ' || relkind::text || ' ' || count(*) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
    AND relkind NOT IN ('t', 'c') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype IN ('e', 'x')
        AND d.classid = 'pg_class'::regclass AND d.objid IN (c.oid, (SELECT indrelid FROM pg_index WHERE indexrelid = c.oid)))
    GROUP BY nspname, relkind ORDER BY 1;
SELECT 'invalid index ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid ORDER BY 1;
SELECT 'functions ' || quote_ident(nspname) || ' ' || count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid)
    GROUP BY nspname ORDER BY 1;
SELECT 'triggers ' || count(*) FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'large objects ' || count(*) FROM pg_largeobject_metadata;
SELECT 'pages of large objects ' || count(*) || ' ' || coalesce(sum(hashtext(encode(data, 'hex'))::bigint), 0) FROM pg_largeobject;
SELECT format('SELECT ''rows %s.%s '' || count(*) FROM ONLY %I.%I', replace(quote_ident(nspname), '''', ''''''),
    replace(quote_ident(relname), '''', ''''''), nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid)
    ORDER BY nspname, relname \gexec
SQL
    done <$work/names
}

# Differences on standard error; else a line that says how much was compared.
step_compare() {
    step_databases >$work/names
    facts old >$work/facts.old
    facts new >$work/facts.new
    if ! cmp -s $work/facts.old $work/facts.new; then
        diff $work/facts.old $work/facts.new | grep '^[<>]' | sed 's/^</only in the old: /; s/^>/only in the new: /' | head -n 20 >&2
        exit 1
    fi
    awk '/^rows /{t++; n += $NF} /^in /{d++} END {printf "%d tables with %d rows in %d databases\n", t, n, d}' $work/facts.new
}

# Settings that were made in the data folder, where the new major knows them; "left out: NAME" for the others.
step_settings() {
    tab=$(printf '\t')
    ask="SELECT name || chr(9) || setting FROM pg_file_settings WHERE applied AND name !~ '^lc_' AND setting !~ '[\n\t]'
        AND sourcefile IN (current_setting('data_directory') || '/postgresql.conf',
            current_setting('data_directory') || '/postgresql.auto.conf') ORDER BY name"
    old -d template1 -Atc "$ask" >$work/set.old
    new -d template1 -Atc "$ask" >$work/set.new
    new -d template1 -Atc "SELECT name FROM pg_settings WHERE context <> 'internal'" >$work/known
    while IFS= read -r line; do
        name=${line%%"$tab"*}
        if grep -q -x -F -e "$line" $work/set.new; then
            continue
        elif case $name in *.*) false ;; *) ! grep -q -x -i -F -e "$name" $work/known ;; esac; then
            echo "left out: $name"
        else
            printf "%s = '%s'\n" "$name" "$(printf %s "${line#*"$tab"}" | sed "s/'/''/g; s/\\\\/\\\\\\\\/g")" >>$work/carried
        fi
    done <$work/set.old
    if [ -s $work/carried ]; then
        { printf '\n# Carried over from the data folder of the earlier major\n'; cat $work/carried; } >>"$PGDATA/postgresql.conf"
    fi
}

step_analyze() {
    vacuumdb -p "$port" --all --analyze-only -j "$1" -q
}

# The last moment of the old one: who waits for the locks is sent away, so that nobody writes while it ends.
step_end() {
    old -d template1 -Atc "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'berth-upgrade' AND pid <> pg_backend_pid()" >/dev/null
    old -d template1 -c CHECKPOINT
}

step=$1
shift
"step_$step" "$@"
