#!/bin/sh
# Copies this folder to DIR and makes what an operator makes: three secret files and a self-signed certificate.
set -eu
dir=${1:?usage: prepare.sh DIR}
mkdir -p "$dir"
cp -R "$(dirname "$0")"/. "$dir"
cd "$dir"
mkdir -p secrets tls
printf 'shop' > secrets/db_user
printf '%s' "${CASE_PASSWORD:-S3cret_Password}" > secrets/db_password
printf 'shopdb' > secrets/db_name
chmod 600 secrets/*
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=store-db -keyout tls/server.key -out tls/server.crt 2>/dev/null
