#include "operate/init_templates.h"

#include <stddef.h>

static const char compose[] =
        "# A PostgreSQL deployment. `berth up -d --wait` brings it up, and so does docker compose, which passes over x-berth.\n"
        "name: @PROJECT@\n"
        "\n"
        "services:\n"
        "  db:\n"
        "    image: postgres:@MAJOR@\n"
        "    restart: unless-stopped\n"
        "    command: [\"-c\", \"config_file=/etc/postgresql/postgresql.conf\", \"-c\", \"hba_file=/etc/postgresql/pg_hba.conf\"]\n"
        "    environment:\n"
        "      POSTGRES_DB: @DATABASE@\n"
        "      POSTGRES_PASSWORD_FILE: /run/secrets/postgres_password\n"
        "      POSTGRES_INITDB_ARGS: --data-checksums\n"
        "    secrets:\n"
        "      - postgres_password\n"
        "      - owner_password\n"
        "      - app_password\n"
        "      - readonly_password\n"
        "      - monitor_password\n"
        "      - server_certificate\n"
        "      - source: server_key\n"
        "        uid: \"999\"\n"
        "        gid: \"999\"\n"
        "        mode: 0400\n"
        "    ports:\n"
        "      - \"127.0.0.1:@PORT@:5432\"    # this machine only; name another address to let others in\n"
        "    volumes:\n"
        "      - data:@DATA_TARGET@\n"
        "      - ./config/postgresql.conf:/etc/postgresql/postgresql.conf:ro\n"
        "      - ./config/pg_hba.conf:/etc/postgresql/pg_hba.conf:ro\n"
        "      - ./init:/docker-entrypoint-initdb.d:ro\n"
        "    healthcheck:\n"
        "      test: [\"CMD-SHELL\", \"pg_isready -h 127.0.0.1 -U postgres -d @DATABASE@\"]\n"
        "      interval: 10s\n"
        "      timeout: 5s\n"
        "      retries: 5\n"
        "      start_period: 60s\n"
        "    shm_size: 256mb\n"
        "    stop_grace_period: 1m\n"
        "\n"
        "volumes:\n"
        "  data:\n"
        "\n"
        "secrets:\n"
        "  postgres_password:\n"
        "    file: ./secrets/postgres_password\n"
        "  owner_password:\n"
        "    file: ./secrets/owner_password\n"
        "  app_password:\n"
        "    file: ./secrets/app_password\n"
        "  readonly_password:\n"
        "    file: ./secrets/readonly_password\n"
        "  monitor_password:\n"
        "    file: ./secrets/monitor_password\n"
        "  server_certificate:\n"
        "    file: ./tls/server.crt\n"
        "  server_key:\n"
        "    file: ./tls/server.key\n";

static const char configuration[] =
        "# Sized to this machine when it was written; each line says why.\n"
        "listen_addresses = '*'\n"
        "password_encryption = 'scram-sha-256'\n"
        "ssl = on\n"
        "ssl_cert_file = '/run/secrets/server_certificate'\n"
        "ssl_key_file = '/run/secrets/server_key'\n"
        "ssl_min_protocol_version = 'TLSv1.2'\n"
        "\n"
        "@SETTINGS@";

static const char hba[] =
        "# TYPE   DATABASE     USER      ADDRESS        METHOD\n"
        "# Inside the container the socket is trusted, as in the official image; everything that comes by network is\n"
        "# encrypted and proves its password.\n"
        "local    all          all                      trust\n"
        "local    replication  all                      trust\n"
        "host     all          all       127.0.0.1/32   scram-sha-256\n"
        "host     all          all       ::1/128        scram-sha-256\n"
        "host     replication  postgres  127.0.0.1/32   scram-sha-256\n"
        "hostssl  all          all       all            scram-sha-256\n"
        "hostnossl all         all       all            reject\n";

static const char roles[] =
        "#!/bin/sh\n"
        "# Runs once, when the cluster is made: applications do not use the superuser.\n"
        "#   owner     owns the schema; migrations use it\n"
        "#   app       reads and writes data\n"
        "#   readonly  reads data\n"
        "#   monitor   reads statistics\n"
        "set -eu\n"
        "psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U \"${POSTGRES_USER:-postgres}\" -d @DATABASE@ <<'SQL'\n"
        "SET log_statement = 'none';\n"
        "\\set owner `cat /run/secrets/owner_password`\n"
        "\\set app `cat /run/secrets/app_password`\n"
        "\\set readonly `cat /run/secrets/readonly_password`\n"
        "\\set monitor `cat /run/secrets/monitor_password`\n"
        "CREATE ROLE owner LOGIN PASSWORD :'owner';\n"
        "CREATE ROLE app LOGIN PASSWORD :'app';\n"
        "CREATE ROLE readonly LOGIN PASSWORD :'readonly';\n"
        "CREATE ROLE monitor LOGIN PASSWORD :'monitor' IN ROLE pg_monitor;\n"
        "ALTER DATABASE @DATABASE@ OWNER TO owner;\n"
        "REVOKE ALL ON DATABASE @DATABASE@ FROM PUBLIC;\n"
        "GRANT CONNECT, TEMPORARY ON DATABASE @DATABASE@ TO app;\n"
        "GRANT CONNECT ON DATABASE @DATABASE@ TO readonly, monitor;\n"
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
        "ALTER SCHEMA public OWNER TO owner;\n"
        "GRANT USAGE ON SCHEMA public TO app, readonly;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO app;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT ON TABLES TO readonly;\n"
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;\n"
        "SQL\n";

static const char readme[] =
        "# @PROJECT@\n"
        "\n"
        "    berth up -d --wait        # or: docker compose up -d --wait\n"
        "    berth ps\n"
        "    psql \"host=localhost port=@PORT@ dbname=@DATABASE@ user=app sslmode=verify-full sslrootcert=tls/ca.crt\"\n"
        "\n"
        "| file | what it is |\n"
        "|---|---|\n"
        "| `compose.yaml` | the deployment |\n"
        "| `secrets/` | generated passwords, one file each; kept out of git |\n"
        "| `tls/` | a certificate authority and the server's certificate; hand `tls/ca.crt` to clients |\n"
        "| `config/postgresql.conf` | settings sized to the machine, with their reasons |\n"
        "| `config/pg_hba.conf` | who may connect: encrypted, with a password |\n"
        "| `init/10-roles.sh` | the roles that are made with the cluster |\n"
        "| `migrations/` | golang-migrate's form: `VERSION_name.up.sql`, `.down.sql` |\n"
        "\n"
        "The superuser's password is in `secrets/postgres_password`; applications use `app`, migrations `owner`.\n"
        "Keep `tls/ca.key` and `secrets/` in a safe place: they are not in git.\n";

const InitTemplate init_templates[] = {
        { "compose.yaml", "the deployment", 0644, compose },
        { "config/postgresql.conf", "settings sized to this machine", 0644, configuration },
        { "config/pg_hba.conf", "who may connect", 0644, hba },
        { "init/10-roles.sh", "roles made with the cluster", 0755, roles },
        { "migrations/000001_init.up.sql", "the first migration", 0644,
          "CREATE TABLE example (\n    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
          "    note       text NOT NULL,\n    created_at timestamptz NOT NULL DEFAULT now()\n);\n" },
        { "migrations/000001_init.down.sql", "its way back", 0644, "DROP TABLE example;\n" },
        { ".gitignore", "keeps secrets out of git", 0644, "/secrets/\n/tls/*.key\n" },
        { "README.md", "what to do with it", 0644, readme },
        { NULL, NULL, 0, NULL },
};
