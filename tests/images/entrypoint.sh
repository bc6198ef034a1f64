#!/bin/sh
# A plain stand-in for the official entrypoint, used while Berth's own is not built: enough for a first start.
set -e
case ${1:-} in -*) set -- postgres "$@" ;; esac
[ "$1" = postgres ] || exec "$@"
from_file() {
    eval "file=\${$1_FILE:-}"
    [ -z "$file" ] || { eval "$1=\$(cat \"\$file\")"; export "$1"; unset "$1_FILE"; }
}
if [ "$(id -u)" = 0 ]; then
    for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file $name; done
    mkdir -p "$PGDATA" /var/run/postgresql
    chown postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        exit 1
    fi
    user=${POSTGRES_USER:-postgres} db=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
    printf '%s\n' "${POSTGRES_PASSWORD:-}" > /tmp/pw
    eval "initdb --username=\"$user\" ${POSTGRES_PASSWORD:+--pwfile=/tmp/pw} ${POSTGRES_INITDB_ARGS:-}"
    rm -f /tmp/pw
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
    if [ "$db" != postgres ]; then echo "CREATE DATABASE \"$db\"" | postgres --single -j -D "$PGDATA" postgres >/dev/null; fi
    echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@"
