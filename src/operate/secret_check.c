#include "operate/secret_check.h"

#include <ctype.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "compose/node.h"
#include "compose/xberth.h"
#include "operate/secret_source.h"
#include "postgres/guard.h"

#define GIT_TIMEOUT_MS 10000
#define GENERATE       "Make one: openssl rand -base64 24."

typedef struct Check {
        const Project *project;
        char **silenced;
        SecretFindings *findings;
} Check;

void secret_findings_done(SecretFindings *findings)
{
        VECTOR_FOREACH(finding, findings) {
                free(finding->subject);
                free(finding->place);
                free(finding->message);
                free(finding->fix);
        }
        vector_done(findings);
}

/* Takes the strings. */
static void add(const Check *check, const char *id, bool is_error, char *subject, char *place, char *message, char *fix)
{
        SecretFinding finding = { id, is_error, subject, place, message, fix };

        if (!strv_contains(check->silenced, id)) {
                vector_add(check->findings, finding);
                return;
        }
        free(subject);
        free(place);
        free(message);
        free(fix);
}

static char *subject_of(const FileSource *source)
{
        return xasprintf("secret %s", source->key);
}

/* ---- what is a password ---- */

static bool contains_word(const char *name, const char *word)
{
        return strcasestr(name, word) != NULL;
}

static bool name_means_password(const char *name)
{
        static const char *const words[] = { "password", "passwd", "passphrase",  "secret", "token",
                                             "api_key",  "apikey", "private_key", "pgpass" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (contains_word(name, words[i]))
                        return true;
        return false;
}

/* Some service says PASSWORD_FILE=/run/secrets/<target of this secret>. */
static bool is_read_as_password(const Service *service, const FileSource *source)
{
        for (size_t i = 0; i < service->n_secrets; i++) {
                const FileReference *reference = &service->secrets[i];

                if (!streq_ptr(reference->source, source->key) || !reference->target)
                        continue;
                for (size_t k = 0; k < service->environment.length; k++) {
                        const char *name = service->environment.items[k].key,
                                   *value = service->environment.items[k].value;
                        if (endswith(name, "PASSWORD_FILE") && streq_ptr(value, reference->target))
                                return true;
                }
        }
        return false;
}

bool secret_is_password(const Project *project, const FileSource *source)
{
        if (contains_word(source->key, "passw") || contains_word(source->key, "pwd"))
                return true;
        for (size_t i = 0; i < project->n_services; i++)
                if (is_read_as_password(&project->services[i], source))
                        return true;
        return false;
}

/* ---- files ---- */

static int run_git(const char *folder, const char *const *words)
{
        /* Root looks into other people's trees; only questions are asked here. */
        _cleanup_strv_ char **argv = strv_new("git", "-c", "safe.directory=*", "-C", folder, NULL);
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        for (; *words; words++)
                strv_add(&argv, *words);
        run.spec.argv = argv;
        run.timeout_ms = GIT_TIMEOUT_MS;
        return process_run(&run, &result, NULL) < 0 || result.timed_out ? -1 : result.status;
}

static void check_git(const Check *check, const char *path, char *subject)
{
        _cleanup_free_ char *folder = path_dirname(path), *owned = subject;
        const char *name = path_basename(path);
        const char *const inside[] = { "rev-parse", "--is-inside-work-tree", NULL };
        const char *const tracked[] = { "ls-files", "--error-unmatch", "--", name, NULL };
        const char *const ignored[] = { "check-ignore", "-q", "--", name, NULL };

        if (run_git(folder, inside) != 0)
                return;
        if (run_git(folder, tracked) == 0)
                add(check, "secret-in-git", true, TAKE_PTR(owned), xstrdup(path),
                    xstrdup("git keeps it: everybody with the repository has it"),
                    xasprintf(
                            "Take it out (git rm --cached %s), change it (berth secret rotate), and add it to .gitignore.",
                            name));
        else if (run_git(folder, ignored) == 1)
                add(check, "secret-not-ignored", false, TAKE_PTR(owned), xstrdup(path),
                    xstrdup("git does not ignore it: the next \"git add\" takes it along"),
                    xasprintf("Add it to .gitignore: echo /%s >> %s/.gitignore.", name, folder));
}

/* A certificate travels as a secret and is none: it may be read. */
static bool is_public(const char *value)
{
        return value && startswith(value, "-----BEGIN CERTIFICATE-----") && !strstr(value, "PRIVATE KEY-----");
}

static void check_mode(const Check *check, const FileSource *source, const struct stat *status, bool public)
{
        if ((status->st_mode & (public ? 022 : 077)) == 0)
                return;
        add(check, "secret-open", false, subject_of(source), xstrdup(source->file),
            xasprintf("others on this machine may %s it (mode %04o)", status->st_mode & 022 ? "change" : "read",
                      (unsigned)status->st_mode & 07777),
            xasprintf("chmod 600 %s", source->file));
}

static void check_value(const Check *check, const FileSource *source, const char *value)
{
        bool known;
        const char *weakness;

        if (!secret_is_password(check->project, source))
                return;
        weakness = guard_password_weakness(value, &known);
        if (weakness)
                add(check, known ? "secret-known" : "secret-weak", known, subject_of(source), xstrdup(source->file),
                    xasprintf("the password %s", weakness),
                    xstrdup("\"berth secret rotate\" gives the database a new one; elsewhere: openssl rand -base64 24."));
}

static void check_file(const Check *check, const FileSource *source)
{
        _cleanup_(free_secretp) char *value = NULL;
        _cleanup_error_ Error *error = NULL;
        struct stat status;
        int r;

        if (stat(source->file, &status) < 0) {
                add(check, "secret-missing", true, subject_of(source), xstrdup(source->file),
                    xstrdup("the file is not there"),
                    xasprintf("Write it: (umask 077; openssl rand -base64 24 > %s).", source->file));
                return;
        }
        r = secret_file_read(source->file, &value, &error);
        check_mode(check, source, &status, is_public(value));
        if (!is_public(value))
                check_git(check, source->file, subject_of(source));
        if (r < 0)
                add(check, S_ISREG(status.st_mode) && status.st_size <= 1 ? "secret-empty" : "secret-unreadable", true,
                    subject_of(source), xstrdup(source->file), xstrdup(error->message),
                    xstrdup(error->kind == ERROR_DENIED ? "Ask as root." : GENERATE));
        else
                check_value(check, source, value);
}

static void check_source(const Check *check, const FileSource *source)
{
        if (source->file)
                check_file(check, source);
        else if (source->content)
                check_value(check, source, source->content);
        else if (source->environment)
                add(check, "secret-missing", true, subject_of(source), NULL,
                    xasprintf("the environment variable \"%s\" is not set", source->environment),
                    xstrdup("Set it, or keep the secret in a file."));
        else if (source->external)
                add(check, "secret-missing", true, subject_of(source), NULL,
                    xstrdup("it is external and nothing says whence"),
                    xasprintf("Say it: x-berth: {secrets: {%s: {command: [...]}}}.", source->key));
}

/* ---- environments ---- */

/* scheme://user:password@… */
static bool holds_password_in_url(const char *value)
{
        const char *authority = strstr(value, "://"), *at, *colon;

        if (!authority)
                return false;
        authority += 3;
        at = strpbrk(authority, "@/?# ");
        colon = strchr(authority, ':');
        return at && *at == '@' && colon && colon + 1 < at;
}

static char *place_of(const Node *value)
{
        if (node_note(value))
                return xstrdup(node_note(value));
        return node_file(value) ? xasprintf("%s:%u", node_file(value), value->line) : NULL;
}

static void check_variable(const Check *check, const Service *service, const NodeEntry *entry)
{
        const char *value = node_text(entry->value);
        bool url = value && holds_password_in_url(value), known = false, in_file = node_note(entry->value) == NULL;
        char *subject;

        if (isempty(value) || endswith(entry->key, "_FILE") || *value == '/' ||
            (!url && !name_means_password(entry->key)))
                return;
        guard_password_weakness(value, &known);
        subject = xasprintf("service %s: %s", service->name, entry->key);
        add(check, in_file ? "password-in-file" : "password-in-environment", false, subject, place_of(entry->value),
            xasprintf("a password %s%s",
                      in_file ? "is written into the compose file"
                              : "is in the container's environment, where whoever may inspect it reads it",
                      known ? ", and one that everybody knows" : ""),
            url ? xstrdup("Give the program the parts and a secret's file instead of an address with the password in it.")
                : xasprintf("Make it a secret and name its file: %s_FILE=/run/secrets/NAME.", entry->key));
}

/* A file of variables (.env) with passwords is a secret too. */
static void check_service(const Check *check, const Service *service)
{
        const Node *environment = node_get(service->node, "environment");

        if (!node_is(environment, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(entry, environment)
        check_variable(check, service, entry);
}

void secret_check(const Project *project, SecretFindings *ret)
{
        Check check = { .project = project, .findings = ret };
        XBerth settings;

        x_berth_read(project, NULL, &settings);
        check.silenced = settings.silence;
        for (size_t i = 0; i < project->n_secrets; i++)
                check_source(&check, &project->secrets[i]);
        for (size_t i = 0; i < project->n_services; i++)
                check_service(&check, &project->services[i]);
}
