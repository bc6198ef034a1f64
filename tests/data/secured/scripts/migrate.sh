#!/bin/sh
# Applies every file in order, each in a transaction.
set -e
export PGPASSWORD="$(cat /run/secrets/db_password)"
for file in /migrations/*.sql; do
    psql -X -q -1 -v ON_ERROR_STOP=1 -h store-db -U "$(cat /run/secrets/db_user)" -d "$(cat /run/secrets/db_name)" -f "$file"
    echo "applied ${file##*/}"
done
