#!/bin/sh
# A plain stand-in for golang-migrate, used while Berth's own migration command is not built: `up` and `version` by psql.
set -e
usage() { echo "Usage: migrate OPTIONS COMMAND [arg...]" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    -path|--path) path=$2; shift 2 ;;
    -database|--database) url=$2; shift 2 ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || usage
sql() { psql -X -q -v ON_ERROR_STOP=1 -At "$url" "$@"; }
case $1 in
version) sql -c 'select version from schema_migrations' ;;
up)
    sql -c 'create table if not exists schema_migrations (version bigint not null primary key, dirty boolean not null)' >/dev/null 2>&1
    at=$(sql -c 'select coalesce(max(version), 0) from schema_migrations')
    for file in "$path"/*.up.sql; do
        base=${file##*/}
        version=$(echo "${base%%_*}" | sed 's/^0*//')
        [ "$version" -gt "$at" ] || continue
        sql -1 -f "$file" -c "truncate schema_migrations" -c "insert into schema_migrations values ($version, false)"
        rest=${base#*_}
        echo "$version/u ${rest%.up.sql}" >&2
        done=yes
    done
    [ -n "${done:-}" ] || echo "no change" >&2 ;;
*) usage ;;
esac
