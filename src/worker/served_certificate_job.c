/* served-certificate: {"pid", "port", "certificate"?: path, "authority"?: path, "now_s"} → {"tls"} and, where the
 * server speaks TLS, {"not_after_s", "due", "is_file"?: it is the file's, "trusted"?: the authority signed it} */
#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "postgres/tls_files.h"
#include "postgres/tls_served.h"
#include "state/document.h"
#include "worker/job.h"

#define FILE_LIMIT ((size_t)1024 * 1024)

/* The file's text; NULL where it is not named or cannot be read. */
static char *read_named(const Job *job, const char *key)
{
        const char *path = json_get_string(job->params, key, NULL);
        Strbuf text = STRBUF_INIT;

        if (!path || fs_read_file(AT_FDCWD, path, FILE_LIMIT, &text, NULL) < 0) {
                strbuf_done(&text);
                return NULL;
        }
        return strbuf_take(&text);
}

int job_served_certificate(const Job *job, json_t **ret, Error **err)
{
        _cleanup_free_ char *pem = NULL, *file = read_named(job, "certificate"),
                            *authority = read_named(job, "authority");
        int64_t now_s = json_get_int(job->params, "now_s", 0);
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        int r = tls_look_served((pid_t)json_get_int(job->params, "pid", 0),
                                (int)json_get_int(job->params, "port", 5432), &pem, err);

        if (r == 0 && pem)
                r = tls_read(pem, &facts, err);
        if (r < 0)
                return r;
        *ret = json_pack("{s:b}", "tls", pem != NULL);
        if (!pem)
                return 0;
        json_object_set_new(*ret, "not_after_s", json_integer(facts.not_after_s));
        json_object_set_new(*ret, "due", json_boolean(tls_is_due(&facts, now_s)));
        if (file)
                json_object_set_new(*ret, "is_file", json_boolean(tls_same_certificate(pem, file)));
        if (authority)
                json_object_set_new(
                        *ret, "trusted",
                        json_boolean(tls_verify(authority, file && tls_same_certificate(pem, file) ? file : pem, now_s,
                                                NULL) == 0));
        return 0;
}
