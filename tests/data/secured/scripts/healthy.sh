#!/bin/sh
exec pg_isready -q -U "$(cat /run/secrets/db_user)" -d "$(cat /run/secrets/db_name)"
