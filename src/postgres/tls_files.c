#include "postgres/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define PEM_LIMIT      ((size_t)256 * 1024)
#define AUTHORITY_DAYS 3650
#define RENEW_BEFORE_S INT64_C(2592000) /* 30 days */

static int read_pem(const char *path, char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r = fs_read_file(AT_FDCWD, path, PEM_LIMIT, &text, err);

        if (r < 0)
                return r;
        *ret = xstrndup(strbuf_text(&text), text.length);
        strbuf_erase(&text);
        return 0;
}

static int write_pem(const char *path, const char *text, mode_t mode, Error **err)
{
        _cleanup_free_ char *folder = path_dirname(path);
        int r = fs_make_directories(folder, 0755, err);

        return r < 0 ? r : fs_write_file(AT_FDCWD, path, text, strlen(text), mode, err);
}

static int read_facts(const char *path, const char *pem, TlsFacts *ret, Error **err)
{
        return error_prefix(err, tls_read(pem, ret, err), "certificate \"%s\"", path);
}

static char *date_text(int64_t time_s)
{
        time_t time = (time_t)time_s;
        struct tm broken;
        char text[32];

        gmtime_r(&time, &broken);
        strftime(text, sizeof(text), "%Y-%m-%d", &broken);
        return xstrdup(text);
}

bool tls_is_due(const TlsFacts *facts, int64_t now_s)
{
        int64_t third = (facts->not_after_s - facts->not_before_s) / 3;

        return facts->not_after_s - now_s < MIN(RENEW_BEFORE_S, third);
}

/* ---- the authority ---- */

static char *authority_name(const TlsPlace *place)
{
        _cleanup_free_ char *folder = path_dirname(place->authority), *parent = path_dirname(folder);

        return xasprintf("certificate authority of %s", path_basename(parent));
}

/* The key first: a certificate says that it is there. */
static int make_authority(const TlsPlace *place, TlsCertificate *ret, Error **err)
{
        _cleanup_free_ char *name = authority_name(place);
        int r = tls_make_authority(name, AUTHORITY_DAYS, ret, err);

        if (r == 0)
                r = write_pem(place->authority_key, ret->key, 0600, err);
        if (r == 0)
                r = write_pem(place->authority, ret->certificate, 0644, err);
        return r;
}

static int check_authority(const TlsPlace *place, const TlsCertificate *authority, int64_t now_s, Error **err)
{
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        int r = read_facts(place->authority, authority->certificate, &facts, err);

        if (r == 0)
                r = error_prefix(err, tls_check_pair(authority->certificate, authority->key, err),
                                 "authority \"%s\" and its key", place->authority);
        if (r == 0 && facts.not_after_s < now_s) {
                _cleanup_free_ char *date = date_text(facts.not_after_s);
                r = error_set(err, ERROR_INVALID, "the authority \"%s\" expired on %s", place->authority, date);
                error_hint(err, r,
                           "Move it and its key away and run \"berth secure\" again; clients need the new one.");
        }
        return r;
}

static int open_authority(const TlsPlace *place, bool make, int64_t now_s, TlsCertificate *ret, Error **err)
{
        int r;

        if (!fs_exists(place->authority) && make)
                return make_authority(place, ret, err);
        r = read_pem(place->authority, &ret->certificate, err);
        if (r == 0 && !fs_exists(place->authority_key)) {
                r = error_set(err, ERROR_NOT_FOUND, "the authority's key \"%s\" is not there: nothing can be signed",
                              place->authority_key);
                return error_hint(
                        err, r, "Bring it back, or give a certificate that you have: berth secure --from CERT KEY CA.");
        }
        if (r == 0)
                r = read_pem(place->authority_key, &ret->key, err);
        return r < 0 ? r : check_authority(place, ret, now_s, err);
}

/* ---- a server's certificate ---- */

static bool has_names(const TlsFacts *facts, const TlsNames *names)
{
        STRV_FOREACH(name, names->dns)
                if (!strv_contains(facts->names, *name))
                        return false;
        STRV_FOREACH(address, names->addresses)
                if (!strv_contains(facts->names, *address))
                        return false;
        return true;
}

/* Why the certificate needs a successor; NULL: it is good. *ret_facts is empty where it could not be read. */
static const char *find_reason(const TlsPlace *place, const TlsRequest *request, const TlsCertificate *now,
                               TlsFacts *ret_facts, TlsOutcome *outcome)
{
        _cleanup_free_ char *authority = NULL;
        Error **quiet = NULL;

        if (!now->certificate)
                return "it is new";
        if (tls_read(now->certificate, ret_facts, quiet) < 0)
                return "it was no certificate";
        outcome->not_after_s = ret_facts->not_after_s;
        outcome->foreign = read_pem(place->authority, &authority, quiet) < 0 || !fs_exists(place->authority_key) ||
                           tls_verify(authority, now->certificate, -1, quiet) < 0;
        if (tls_check_pair(now->certificate, now->key, quiet) < 0)
                return "it belonged to another key";
        if (request->force)
                return "it was asked for";
        if (tls_is_due(ret_facts, request->now_s))
                return "it was about to expire";
        return has_names(ret_facts, &request->names) ? NULL : "a name was missing";
}

static int refuse_foreign(const TlsPlace *place, const TlsFacts *facts, const char *reason, int64_t now_s,
                          TlsOutcome *outcome, Error **err)
{
        _cleanup_free_ char *date = date_text(facts->not_after_s);
        int r;

        outcome->reason = reason;
        if (facts->not_after_s >= now_s && !streq(reason, "it belonged to another key") &&
            !streq(reason, "it was asked for"))
                return 0; /* it serves, and is not ours to change */
        r = error_set(err, ERROR_INVALID,
                      "certificate \"%s\" cannot be renewed here: its authority's key is not there (%s, good until %s)",
                      place->certificate, reason, date);
        return error_hint(err, r,
                          "Give its successor: berth secure --from CERT KEY [CA]; or move it away to have one made.");
}

/* Also the names that it had: who asked for them is not known any more. */
static TlsNames all_names(const TlsRequest *request, const TlsFacts *facts, char ***dns, char ***addresses)
{
        *dns = strv_copy(request->names.dns);
        *addresses = strv_copy(request->names.addresses);
        STRV_FOREACH(name, facts->names) {
                bool address = strchr(*name, ':') || strspn(*name, "0123456789.") == strlen(*name);
                char ***list = address ? addresses : dns;
                if (!strv_contains(*list, *name))
                        strv_add(list, *name);
        }
        return (TlsNames){ *dns, *addresses };
}

static int sign(const TlsPlace *place, const TlsRequest *request, const TlsFacts *facts, TlsCertificate *now,
                TlsOutcome *outcome, Error **err)
{
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, made = { 0 };
        _cleanup_tls_facts_ TlsFacts fresh = { 0 };
        _cleanup_strv_ char **dns = NULL, **addresses = NULL;
        TlsNames names = all_names(request, facts, &dns, &addresses);
        int r = open_authority(place, !request->renew_only, request->now_s, &authority, err);

        if (r == 0)
                r = tls_make_server(&authority, request->common_name, &names, request->days, now->key, &made, err);
        if (r == 0 && !now->key)
                r = write_pem(place->key, made.key, 0600, err);
        if (r == 0)
                r = write_pem(place->certificate, made.certificate, 0644, err);
        if (r == 0)
                r = tls_read(made.certificate, &fresh, err);
        if (r == 0) {
                outcome->changed = true;
                outcome->not_after_s = fresh.not_after_s;
        }
        return r;
}

/* An adoption that was cut off: the second of two renames is made now. */
static void finish_adoption(const TlsPlace *place)
{
        _cleanup_free_ char *key = xasprintf("%s.next", place->key),
                            *certificate = xasprintf("%s.next", place->certificate);

        if (fs_exists(key))
                unlink(certificate); /* neither was made yet, or only whole: the old pair stays */
        else if (fs_exists(certificate))
                rename(certificate, place->certificate);
        unlink(key);
}

int tls_files_issue(const TlsPlace *place, const TlsRequest *request, TlsOutcome *ret, Error **err)
{
        _cleanup_tls_certificate_ TlsCertificate now = { 0 };
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        const char *reason;
        int r = 0;

        *ret = (TlsOutcome){ 0 };
        finish_adoption(place);
        if (fs_exists(place->key))
                r = read_pem(place->key, &now.key, err);
        if (r == 0 && fs_exists(place->certificate))
                r = read_pem(place->certificate, &now.certificate, err);
        if (r < 0)
                return r;
        if (request->renew_only && (!now.key || !now.certificate))
                return 0;
        if (now.certificate && !now.key)
                return error_set(err, ERROR_NOT_FOUND, "the key \"%s\" of certificate \"%s\" is not there", place->key,
                                 place->certificate);
        reason = find_reason(place, request, &now, &facts, ret);
        if (!reason)
                return 0;
        if (ret->foreign)
                return refuse_foreign(place, &facts, reason, request->now_s, ret, err);
        ret->reason = reason;
        return sign(place, request, &facts, &now, ret, err);
}

/* ---- certificates that one has ---- */

static int check_adopted(const char *path, const TlsCertificate *given, const char *authority_path,
                         const char *authority, int64_t now_s, TlsOutcome *outcome, Error **err)
{
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        _cleanup_free_ char *date = NULL;
        int r = read_facts(path, given->certificate, &facts, err);

        if (r < 0)
                return r;
        outcome->not_after_s = facts.not_after_s;
        date = date_text(facts.not_after_s < now_s ? facts.not_after_s : facts.not_before_s);
        if (facts.not_after_s < now_s)
                return error_hint(err, error_set(err, ERROR_INVALID, "certificate \"%s\" expired on %s", path, date),
                                  "Ask its authority for a new one.");
        if (facts.not_before_s > now_s)
                return error_set(err, ERROR_INVALID, "certificate \"%s\" is not valid before %s", path, date);
        r = tls_check_pair(given->certificate, given->key, err);
        if (r == 0 && authority)
                r = error_prefix(err, tls_verify(authority, given->certificate, now_s, err), "authority \"%s\"",
                                 authority_path);
        return error_prefix(err, r, "certificate \"%s\"", path);
}

int tls_files_adopt(const TlsPlace *place, const char *certificate, const char *key, const char *authority,
                    int64_t now_s, TlsOutcome *ret, Error **err)
{
        _cleanup_tls_certificate_ TlsCertificate given = { 0 };
        _cleanup_free_ char *authority_pem = NULL, *next_key = xasprintf("%s.next", place->key),
                            *next_certificate = xasprintf("%s.next", place->certificate),
                            *folder = path_dirname(place->key);
        int r;

        *ret = (TlsOutcome){ .reason = "it was given", .foreign = true };
        r = read_pem(certificate, &given.certificate, err);
        if (r == 0)
                r = read_pem(key, &given.key, err);
        if (r == 0 && authority)
                r = read_pem(authority, &authority_pem, err);
        if (r == 0)
                r = check_adopted(certificate, &given, authority, authority_pem, now_s, ret, err);
        if (r < 0)
                return r;
        finish_adoption(place);
        if (authority_pem)
                r = write_pem(place->authority, authority_pem, 0644, err);
        /* Both are there before either takes its place; the key's rename is the decision. */
        if (r == 0)
                r = write_pem(next_key, given.key, 0600, err);
        if (r == 0)
                r = write_pem(next_certificate, given.certificate, 0644, err);
        if (r < 0)
                return r;
        if (rename(next_key, place->key) < 0 || rename(next_certificate, place->certificate) < 0)
                return error_set_errno(err, errno, "replace \"%s\"", place->key);
        ret->changed = true;
        return fs_sync_directory(AT_FDCWD, folder, err);
}

int tls_files_client(const TlsPlace *place, const char *role, int days, TlsOutcome *ret, Error **err)
{
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, made = { 0 };
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        int r = open_authority(place, true, (int64_t)time(NULL), &authority, err);

        *ret = (TlsOutcome){ .reason = "it was asked for" };
        if (r == 0)
                r = tls_make_client(&authority, role, days, &made, err);
        if (r == 0)
                r = write_pem(place->key, made.key, 0600, err);
        if (r == 0)
                r = write_pem(place->certificate, made.certificate, 0644, err);
        if (r == 0)
                r = tls_read(made.certificate, &facts, err);
        ret->changed = r == 0;
        ret->not_after_s = facts.not_after_s;
        return r;
}
