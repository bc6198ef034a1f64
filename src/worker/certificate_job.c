/* certificate: {"authority", "authority_key", "certificate", "key": paths} and
 *   for a server's   "common_name", "dns": [], "addresses": [], "days", "now_s", "force", "renew_only"
 *   to take one over "from_certificate", "from_key", "from_authority", "now_s"
 *   for a client's   "client": role, "days"
 * → {"changed", "reason", "not_after_s", "foreign"} */
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/tls_files.h"
#include "state/document.h"
#include "worker/job.h"

static int read_place(const Job *job, TlsPlace *ret, Error **err)
{
        const struct {
                const char *key;
                const char **value;
        } paths[] = {
                { "authority", &ret->authority },
                { "authority_key", &ret->authority_key },
                { "certificate", &ret->certificate },
                { "key", &ret->key },
        };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                int r = job_require(job, paths[i].key, paths[i].value, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int issue(const json_t *params, const TlsPlace *place, TlsOutcome *ret, Error **err)
{
        _cleanup_strv_ char **dns = json_get_strv(params, "dns"), **addresses = json_get_strv(params, "addresses");
        TlsRequest request = {
                .common_name = json_get_string(params, "common_name", "postgres"),
                .names = { dns, addresses },
                .days = (int)json_get_int(params, "days", 365),
                .now_s = json_get_int(params, "now_s", 0),
                .force = json_get_bool(params, "force", false),
                .renew_only = json_get_bool(params, "renew_only", false),
        };

        return tls_files_issue(place, &request, ret, err);
}

int job_certificate(const Job *job, json_t **ret, Error **err)
{
        const json_t *params = job->params;
        const char *given = json_get_string(params, "from_certificate", NULL), *key,
                   *client = json_get_string(params, "client", NULL);
        TlsOutcome outcome = { 0 };
        TlsPlace place;
        int r = read_place(job, &place, err);

        if (r < 0)
                return r;
        if (given) {
                r = job_require(job, "from_key", &key, err);
                if (r == 0)
                        r = tls_files_adopt(&place, given, key, json_get_string(params, "from_authority", NULL),
                                            json_get_int(params, "now_s", 0), &outcome, err);
        } else if (client)
                r = tls_files_client(&place, client, (int)json_get_int(params, "days", 365), &outcome, err);
        else
                r = issue(params, &place, &outcome, err);
        if (r < 0)
                return r;
        *ret = json_pack("{s:b, s:s?, s:I, s:b}", "changed", outcome.changed, "reason", outcome.reason, "not_after_s",
                         (json_int_t)outcome.not_after_s, "foreign", outcome.foreign);
        return 0;
}
