#include "postgres/entrypoint/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"

#define FILE_LIMIT ((size_t)4 * 1024 * 1024)

enum { PASSWD_NAME, PASSWD_PASSWORD, PASSWD_UID, PASSWD_GID, PASSWD_GECOS, PASSWD_HOME, PASSWD_SHELL, PASSWD_FIELDS };
enum { GROUP_NAME, GROUP_PASSWORD, GROUP_GID, GROUP_MEMBERS, GROUP_FIELDS };

void account_done(Account *account)
{
        free(account->name);
        free(account->home);
        *account = (Account){ 0 };
}

static bool parse_id(const char *text, unsigned *ret)
{
        int64_t number;

        if (!parse_int64(text, 0, UINT32_MAX - 1, &number))
                return false;
        *ret = (unsigned)number;
        return true;
}

static char **read_lines(const char *path)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, path, FILE_LIMIT, &text, NULL) < 0)
                return NULL;
        return strv_split(strbuf_text(&text), '\n');
}

/* The first line whose name is name, or whose number (third field) is id where name is NULL. */
static char **find_entry(const char *path, const char *name, unsigned id, size_t n_fields)
{
        _cleanup_strv_ char **lines = read_lines(path);

        STRV_FOREACH(line, lines) {
                char **fields = strv_split(*line, ':');
                unsigned number;
                bool found = strv_length(fields) >= n_fields && parse_id(fields[2], &number) &&
                             (name ? streq(fields[0], name) : number == id);
                if (found)
                        return fields;
                strv_free(fields);
        }
        return NULL;
}

static int find_user(const char *name, Account *account, Error **err)
{
        _cleanup_strv_ char **fields = NULL;
        unsigned uid, gid;
        bool is_number = parse_id(name, &uid);

        fields = find_entry("/etc/passwd", name, 0, PASSWD_FIELDS);
        if (!fields && is_number)
                fields = find_entry("/etc/passwd", NULL, uid, PASSWD_FIELDS);
        if (!fields && !is_number)
                return error_set(err, ERROR_NOT_FOUND, "unable to find user %s: no matching entries in passwd file",
                                 name);
        if (!fields) {
                account->uid = uid;
                account->gid = 0;
                account->home = xstrdup("/");
                return 0;
        }
        if (!parse_id(fields[PASSWD_UID], &uid) || !parse_id(fields[PASSWD_GID], &gid))
                return error_set(err, ERROR_INVALID, "/etc/passwd: the entry of %s has no valid numbers", name);
        account->uid = uid;
        account->gid = gid;
        account->name = xstrdup(fields[PASSWD_NAME]);
        account->home = xstrdup(*fields[PASSWD_HOME] ? fields[PASSWD_HOME] : "/");
        return 0;
}

static int find_group(const char *name, gid_t *ret, Error **err)
{
        _cleanup_strv_ char **fields = find_entry("/etc/group", name, 0, GROUP_FIELDS);
        unsigned gid;

        if (fields && parse_id(fields[GROUP_GID], &gid))
                *ret = gid;
        else if (parse_id(name, &gid))
                *ret = gid;
        else
                return error_set(err, ERROR_NOT_FOUND, "unable to find group %s: no matching entries in group file",
                                 name);
        return 0;
}

int account_find(const char *specification, Account *ret, Error **err)
{
        const char *colon = strchr(specification, ':');
        _cleanup_free_ char *user =
                colon ? xstrndup(specification, (size_t)(colon - specification)) : xstrdup(specification);
        _cleanup_account_ Account account = { 0 };
        int r;

        r = find_user(user, &account, err);
        if (r < 0)
                return r;
        if (colon && colon[1]) {
                r = find_group(colon + 1, &account.gid, err);
                if (r < 0)
                        return r;
        }
        *ret = account;
        account = (Account){ 0 };
        return 0;
}

bool account_exists(uid_t uid)
{
        _cleanup_strv_ char **fields = find_entry("/etc/passwd", NULL, uid, PASSWD_FIELDS);

        return fields != NULL;
}

static size_t collect_groups(const Account *account, gid_t *groups, size_t limit)
{
        _cleanup_strv_ char **lines = account->name ? read_lines("/etc/group") : NULL;
        size_t n = 0;

        groups[n++] = account->gid;
        STRV_FOREACH(line, lines) {
                _cleanup_strv_ char **fields = strv_split(*line, ':');
                _cleanup_strv_ char **members = NULL;
                unsigned gid;

                if (strv_length(fields) < GROUP_FIELDS || !parse_id(fields[GROUP_GID], &gid) || gid == account->gid)
                        continue;
                members = strv_split(fields[GROUP_MEMBERS], ',');
                if (strv_contains(members, account->name) && n < limit)
                        groups[n++] = gid;
        }
        return n;
}

int account_become(const Account *account, bool with_groups, Error **err)
{
        gid_t groups[256] = { account->gid };
        size_t n = with_groups ? collect_groups(account, groups, ARRAY_SIZE(groups)) : 1;

        if (setgroups(n, groups) < 0)
                return error_set_errno(err, errno, "set the groups of user %u", (unsigned)account->uid);
        if (setresgid(account->gid, account->gid, account->gid) < 0)
                return error_set_errno(err, errno, "become group %u", (unsigned)account->gid);
        if (setresuid(account->uid, account->uid, account->uid) < 0)
                return error_set_errno(err, errno, "become user %u", (unsigned)account->uid);
        setenv("HOME", account->home, 1);
        return 0;
}
