#include "operate/alert.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "state/document.h"

#define WAY_TIMEOUT_MS 30000
#define SENDMAIL       "/usr/sbin/sendmail"

static const char *state_of(const Alert *alert)
{
        return alert->good ? "resolved" : "failed";
}

json_t *alert_to_json(const Alert *alert)
{
        _cleanup_free_ char *time = clock_format_rfc3339(alert->at_ns);
        char host[256] = "";

        gethostname(host, sizeof(host) - 1);
        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "project", alert->project, "service", alert->service, "what",
                         alert->what, "state", state_of(alert), "message", alert->message ? alert->message : "", "time",
                         time, "host", host);
}

static char *summary_of(const Alert *alert)
{
        return xasprintf("berth: %s of %s/%s %s", alert->what, alert->project, alert->service,
                         alert->good ? "works again" : "failed");
}

/* ---- the ways ---- */

static int by_command(const AlertWays *ways, const Alert *alert, const char *json, Error **err)
{
        const struct {
                const char *name, *value;
        } variables[] = {
                { "BERTH_ALERT_PROJECT", alert->project }, { "BERTH_ALERT_SERVICE", alert->service },
                { "BERTH_ALERT_WHAT", alert->what },       { "BERTH_ALERT_STATE", state_of(alert) },
                { "BERTH_ALERT_MESSAGE", alert->message },
        };
        _cleanup_strv_ char **environment = strv_copy(environ);
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
                strv_env_set(&environment, variables[i].name, variables[i].value ? variables[i].value : "");
        run.spec.argv = ways->command;
        run.spec.environment = environment;
        run.input = json;
        run.input_size = strlen(json);
        run.timeout_ms = WAY_TIMEOUT_MS;
        return error_prefix(err, process_run_checked(&run, &result, err), "alert by %s", ways->command[0]);
}

static size_t forget(char *data, size_t size, size_t count, void *context)
{
        return size * count;
}

static int post(CURL *curl, const AlertWays *ways, const char *json, Error **err)
{
        struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
        long status = 0;
        CURLcode code;

        curl_easy_setopt(curl, CURLOPT_URL, ways->webhook);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth");
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, forget);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAY_TIMEOUT_MS);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        curl_slist_free_all(headers);
        /* A hook's address is often its password: it is in no message. */
        if (code != CURLE_OK)
                return error_set(err, ERROR_UNAVAILABLE, "alert by the web hook: %s", curl_easy_strerror(code));
        if (status / 100 != 2)
                return error_set(err, ERROR_FAILED, "alert by the web hook: it answered %ld", status);
        return 0;
}

static int by_webhook(const AlertWays *ways, const Alert *alert, const char *json, Error **err)
{
        CURL *curl = curl_easy_init();
        int r = curl ? post(curl, ways, json, err) : error_set(err, ERROR_INTERNAL, "alert by the web hook: no memory");

        curl_easy_cleanup(curl);
        return r;
}

static int by_mail(const AlertWays *ways, const Alert *alert, const char *json, Error **err)
{
        _cleanup_free_ char *summary = summary_of(alert), *time = clock_format_rfc3339(alert->at_ns), *text = NULL;
        _cleanup_free_ char *from = isempty(ways->mail_from) ? xstrdup("") : xasprintf("From: %s\n", ways->mail_from);
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *program = getenv("BERTH_SENDMAIL");
        ProcessRun run = PROCESS_RUN_INIT;
        char *argv[] = { (char *)(isempty(program) ? SENDMAIL : program), (char *)"-t", (char *)"-oi", NULL };

        if (strpbrk(ways->mail_to, "\r\n") || (ways->mail_from && strpbrk(ways->mail_from, "\r\n")))
                return error_set(err, ERROR_INVALID, "alert by mail: an address has a line break");
        text = xasprintf("To: %s\n%sSubject: %s\nAuto-Submitted: auto-generated\n"
                         "Content-Type: text/plain; charset=utf-8\n\n%s\n\n%s\n\n%s\n",
                         ways->mail_to, from, summary, alert->message ? alert->message : summary, time, json);
        run.spec.argv = argv;
        run.input = text;
        run.input_size = strlen(text);
        run.timeout_ms = WAY_TIMEOUT_MS;
        return error_hint(err, error_prefix(err, process_run_checked(&run, &result, err), "alert by mail"),
                          "Install a program that provides %s, such as msmtp-mta or postfix.", SENDMAIL);
}

int alert_send(const AlertWays *ways, const Alert *alert, Error **err)
{
        const struct {
                bool wanted;
                int (*send)(const AlertWays *ways, const Alert *alert, const char *json, Error **err);
        } all[] = {
                { ways->command && ways->command[0], by_command },
                { !isempty(ways->webhook), by_webhook },
                { !isempty(ways->mail_to), by_mail },
        };
        _cleanup_json_ json_t *json = alert_to_json(alert);
        _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                Error *error = NULL;
                int one = all[i].wanted ? all[i].send(ways, alert, text, &error) : 0;
                if (one < 0)
                        r = one;
                if (error && err)
                        error_append(err, &error);
                error_free(error);
        }
        return r;
}
