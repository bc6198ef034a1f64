# The functions of docker-entrypoint.sh, for scripts that source it and for init files that are sourced. Plain sh,
# with what needs bash kept from other shells. The program berth-entrypoint does the same by itself when it is run.

BERTH_ENTRYPOINT=${BERTH_ENTRYPOINT:-/usr/local/bin/berth-entrypoint}

# file_env VAR [DEFAULT]: VAR, or the contents of the file that VAR_FILE names, or DEFAULT.
file_env() {
        eval "_berth_value=\${$1:-} _berth_file=\${$1_FILE:-}"
        if [ -n "$_berth_value" ] && [ -n "$_berth_file" ]; then
                printf >&2 'error: both %s and %s are set (but are exclusive)\n' "$1" "$1_FILE"
                exit 1
        fi
        if [ -z "$_berth_value" ]; then
                if [ -n "$_berth_file" ]; then
                        _berth_value=$(cat "$_berth_file") || exit 1
                else
                        _berth_value=${2:-}
                fi
        fi
        eval "export $1=\"\$_berth_value\""
        unset "$1_FILE" _berth_value _berth_file
}

_is_sourced() {
        [ "${0##*/}" != docker-entrypoint.sh ]
}

docker_setup_env() {
        file_env POSTGRES_PASSWORD
        file_env POSTGRES_USER postgres
        file_env POSTGRES_DB "$POSTGRES_USER"
        file_env POSTGRES_INITDB_ARGS
        : "${POSTGRES_HOST_AUTH_METHOD:=}" "${DATABASE_ALREADY_EXISTS:=}"
        OLD_DATABASES=
        if [ -s "$PGDATA/PG_VERSION" ] && ! [ -d "$PGDATA/.berth-init" ]; then
                DATABASE_ALREADY_EXISTS=true
        elif [ "$PGDATA" = "/var/lib/postgresql/${PG_MAJOR:-}/docker" ]; then
                for _berth_folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
                        if [ -s "$_berth_folder/PG_VERSION" ]; then
                                OLD_DATABASES="${OLD_DATABASES:+$OLD_DATABASES }$_berth_folder"
                        fi
                done
                if [ -z "$OLD_DATABASES" ] && [ "$PG_MAJOR" -ge 18 ] && mountpoint -q /var/lib/postgresql/data; then
                        OLD_DATABASES='/var/lib/postgresql/data (unused mount/volume)'
                fi
        fi
}

docker_create_db_directories() {
        "$BERTH_ENTRYPOINT" --step directories
}

docker_verify_minimum_env() {
        "$BERTH_ENTRYPOINT" --step verify || exit 1
}

docker_error_old_databases() {
        [ -z "$OLD_DATABASES" ] || "$BERTH_ENTRYPOINT" --step old-databases "$OLD_DATABASES" || exit 1
}

docker_init_database_dir() {
        "$BERTH_ENTRYPOINT" --step initdb "$@"
}

pg_setup_hba_conf() {
        if [ "${1:-}" = postgres ]; then
                shift
        fi
        "$BERTH_ENTRYPOINT" --step hba "$@"
}

docker_temp_server_start() {
        if [ "${1:-}" = postgres ]; then
                shift
        fi
        # A folder of its own: a probe of the usual socket must not take this server for the final one.
        BERTH_INIT_DIR=$(mktemp -d /tmp/.init-XXXXXX) || return
        BERTH_INIT_HOST=$BERTH_INIT_DIR,/var/run/postgresql
        export BERTH_INIT_DIR BERTH_INIT_HOST
        PGHOST=$BERTH_INIT_HOST
        export PGHOST
        _berth_options=
        for _berth_option in "$@" -c listen_addresses= -c "unix_socket_directories=$BERTH_INIT_DIR" \
                -p "${PGPORT:-5432}"; do
                _berth_options="$_berth_options '$(printf '%s' "$_berth_option" | sed "s/'/'\\\\''/g")'"
        done
        NOTIFY_SOCKET= PGUSER="${PGUSER:-$POSTGRES_USER}" pg_ctl -D "$PGDATA" -o "$_berth_options" -w start
}

docker_temp_server_stop() {
        PGUSER="${PGUSER:-postgres}" pg_ctl -D "$PGDATA" -m fast -w stop || return
        if [ -n "${BERTH_INIT_DIR:-}" ]; then
                rm -rf "$BERTH_INIT_DIR"
                unset BERTH_INIT_DIR BERTH_INIT_HOST PGHOST
        fi
}

# docker_process_sql [psql arguments]: runs SQL from stdin or -f.
docker_process_sql() {
        if [ -n "${POSTGRES_DB:-}" ]; then
                set -- --dbname "$POSTGRES_DB" "$@"
        fi
        PGHOST="${BERTH_INIT_HOST:-}" PGHOSTADDR= \
                psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

docker_setup_db() {
        if [ -z "$(POSTGRES_DB= docker_process_sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only <<'SQL'
SELECT 1 FROM pg_database WHERE datname = :'db';
SQL
        )" ]; then
                POSTGRES_DB= docker_process_sql --dbname postgres --set db="$POSTGRES_DB" <<'SQL'
CREATE DATABASE :"db";
SQL
                printf '\n'
        fi
}

_berth_file_done() {
        if [ -n "${BERTH_INIT_PROGRESS:-}" ]; then
                printf . >&3
        fi
}

docker_process_init_files() {
        # Scripts of old call "${psql[@]}".
        if [ -n "${BASH_VERSION:-}" ]; then
                eval 'psql=( docker_process_sql )'
        fi
        for f; do
                case "$f" in
                *.sh)
                        if [ -x "$f" ]; then
                                printf '%s: running %s\n' "$0" "$f"
                                "$f"
                        else
                                printf '%s: sourcing %s\n' "$0" "$f"
                                . "$f"
                        fi
                        ;;
                *.sql) printf '%s: running %s\n' "$0" "$f"; docker_process_sql -f "$f"; printf '\n' ;;
                *.sql.gz) printf '%s: running %s\n' "$0" "$f"; gzip -dc "$f" | docker_process_sql; printf '\n' ;;
                *.sql.xz) printf '%s: running %s\n' "$0" "$f"; xz -dc "$f" | docker_process_sql; printf '\n' ;;
                *.sql.zst) printf '%s: running %s\n' "$0" "$f"; zstd -dc "$f" | docker_process_sql; printf '\n' ;;
                *) printf '%s: ignoring %s\n' "$0" "$f" ;;
                esac
                printf '\n'
                _berth_file_done
        done
}

_pg_want_help() {
        for _berth_argument; do
                case "$_berth_argument" in
                '-?' | --help | --describe-config | -V | --version) return 0 ;;
                esac
        done
        return 1
}

_main() {
        exec "$BERTH_ENTRYPOINT" --script docker-entrypoint.sh "$@"
}

if [ "${1:-}" = --berth-process-init-files ]; then
        shift
        set -e
        if [ -n "${BASH_VERSION:-}" ]; then
                set -E -o pipefail
        fi
        BERTH_INIT_PROGRESS=1
        docker_process_init_files "$@"
        exit 0
fi
