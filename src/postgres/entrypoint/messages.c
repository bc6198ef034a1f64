#include "postgres/entrypoint/messages.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"

void say(const char *format, ...)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        va_list arguments;

        va_start(arguments, format);
        strbuf_vaddf(&text, format, arguments);
        va_end(arguments);
        fs_write_all(STDOUT_FILENO, text.data, text.length, NULL);
}

static void complain(const char *text)
{
        fs_write_all(STDERR_FILENO, text, strlen(text), NULL);
}

void say_error(const Error *error)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        strbuf_addf(&text, "error: %s\n", error ? error->message : "unknown");
        if (error && error->hint)
                strbuf_addf(&text, "hint: %s\n", error->hint);
        complain(text.data);
}

void say_no_password(void)
{
        complain("Error: Database is uninitialized and superuser password is not specified.\n"
                 "       Set POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) to a non-empty value, for example\n"
                 "       with \"-e POSTGRES_PASSWORD=password\" or in the compose file's \"environment\".\n"
                 "\n"
                 "       \"POSTGRES_HOST_AUTH_METHOD=trust\" lets every connection in without a password\n"
                 "       instead. That is *not* recommended: anyone who reaches the port owns the data.\n"
                 "\n"
                 "       About \"trust\": https://www.postgresql.org/docs/current/auth-trust.html\n");
}

void say_trust_warning(void)
{
        static const char rule[] = "********************************************************************************\n";

        complain(rule);
        complain("WARNING: POSTGRES_HOST_AUTH_METHOD has been set to \"trust\". Whoever can reach the\n"
                 "         server's port is let in as any user without a password, even where\n"
                 "         POSTGRES_PASSWORD is set; other containers of the same network can.\n"
                 "         About \"trust\": https://www.postgresql.org/docs/current/auth-trust.html\n"
                 "\n"
                 "         This is *not* recommended: set POSTGRES_PASSWORD instead.\n");
        complain(rule);
}

void say_old_databases(char *const *folders, const char *data_dir)
{
        _cleanup_free_ char *list = strv_join(folders, " ");
        _cleanup_free_ char *text =
                xasprintf("Error: in 18+, these Docker images keep database data in a folder named after the\n"
                          "       major version (here %s), the layout of \"pg_ctlcluster\".\n"
                          "\n"
                          "       Counter to that, there appears to be PostgreSQL data in:\n"
                          "         %s\n"
                          "\n"
                          "       Usually the image went to a new major version while the data did not, or a\n"
                          "       volume is still mounted where images before 18 had their data. Nothing has been\n"
                          "       changed.\n"
                          "\n"
                          "       Mount one volume at /var/lib/postgresql (18 and newer), or go back to the major\n"
                          "       version that wrote the data, or upgrade the data (pg_upgrade, or dump and restore).\n"
                          "       See https://github.com/docker-library/postgres/pull/1259\n"
                          "       and https://github.com/docker-library/postgres/issues/37\n",
                          data_dir, list);

        complain(text);
}
