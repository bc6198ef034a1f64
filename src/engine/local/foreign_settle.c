/* Looking at other firewalls' chains and acting on them; what to do is decided in foreign.c. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/firewall.h"
#include "engine/local/foreign.h"
#include "state/document.h"

#define TIMEOUT_MS   120000
#define OUTPUT_LIMIT ((size_t)64 * 1024 * 1024)

static int run(char **argv, const char *input, ProcessResult *ret, Error **err)
{
        ProcessRun call = PROCESS_RUN_INIT;
        int r;

        call.spec.argv = argv;
        call.input = input;
        call.input_size = input ? strlen(input) : 0;
        call.output_limit = OUTPUT_LIMIT;
        call.timeout_ms = TIMEOUT_MS;
        r = process_run_checked(&call, ret, err);
        if (r == -ERROR_UNAVAILABLE && streq(argv[0], "nft"))
                error_hint(err, r, "Install the package nftables.");
        return error_prefix(err, r, "make way through other firewalls");
}

static int list_chains(const char *own_table, ForeignChains *ret, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("nft", "-j", "list", "chains", NULL);
        _cleanup_process_result_ ProcessResult result = { 0 };
        int r = run(argv, NULL, &result, err);

        return r < 0 ? r : foreign_parse_chains(strbuf_text(&result.output), own_table, ret, err);
}

static int list_chain(const ForeignChain *chain, const char *name, json_t *all, Error **err)
{
        _cleanup_strv_ char **argv =
                strv_new("nft", "-a", "-j", "list", "chain", chain->family, chain->table, name, NULL);
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_json_ json_t *listing = NULL;
        int r = run(argv, NULL, &result, err);

        if (r < 0)
                return r;
        listing = json_loads(strbuf_text(&result.output), 0, NULL);
        json_array_extend(json_object_get(all, "nftables"), json_object_get(listing, "nftables"));
        return 0;
}

static int plan_one(const Layout *layout, const ForeignChain *chain, bool wanted, Strbuf *plan, Error **err)
{
        _cleanup_json_ json_t *all = json_pack("{s:[]}", "nftables");
        _cleanup_error_ Error *gone = NULL;
        int r = list_chain(chain, chain->base, all, &gone);

        if (r == 0 && chain->user)
                r = list_chain(chain, chain->user, all, &gone);
        /* It went while we looked: whoever changes it makes us look again. */
        return r < 0 ? 0 : foreign_plan(chain, all, layout->id, wanted, plan, err);
}

static int settle_nft(const Layout *layout, bool wanted, bool *ret_own_table, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("nft", "-f", "-", NULL);
        _cleanup_free_ char *own_table = firewall_table(layout->id);
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_foreign_chains_ ForeignChains chains = { 0 };
        _cleanup_strbuf_ Strbuf plan = STRBUF_INIT;
        int r = list_chains(own_table, &chains, err);

        *ret_own_table = chains.own_table;
        for (size_t i = 0; r == 0 && i < chains.length; i++)
                r = plan_one(layout, &chains.items[i], wanted, &plan, err);
        if (r < 0 || plan.length == 0)
                return r;
        return run(argv, strbuf_text(&plan), &result, err);
}

/* Whether iptables-legacy has a filter table here. Asking the program would make one. */
static bool has_legacy_table(bool ipv6)
{
        _cleanup_free_ char *path = xasprintf("/proc/thread-self/net/%s_tables_names", ipv6 ? "ip6" : "ip");
        _cleanup_strbuf_ Strbuf names = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, path, 65536, &names, NULL) < 0)
                return false;
        lines = strv_split(strbuf_text(&names), '\n');
        return strv_contains(lines, "filter");
}

/* Where there is but one iptables, it is this one. Owned by the caller. */
static char *legacy_program(bool ipv6)
{
        const char *name = ipv6 ? "ip6tables-legacy" : "iptables-legacy";
        _cleanup_free_ char *found = process_find(name);

        return xstrdup(found ? name : ipv6 ? "ip6tables" : "iptables");
}

static int settle_legacy(const Layout *layout, bool ipv6, bool wanted, Error **err)
{
        _cleanup_free_ char *program = legacy_program(ipv6);
        _cleanup_strv_ char **argv = strv_new(program, "-w", "10", "-S", NULL);
        _cleanup_process_result_ ProcessResult result = { 0 };
        char ***calls = NULL;
        size_t n_calls = 0;
        int r;

        if (!has_legacy_table(ipv6))
                return 0;
        r = run(argv, NULL, &result, err);
        if (r < 0)
                return r;
        foreign_plan_legacy(strbuf_text(&result.output), layout->id, wanted, &calls, &n_calls);
        for (size_t i = 0; i < n_calls; i++) {
                _cleanup_process_result_ ProcessResult done = { 0 };
                _cleanup_strv_ char **call = strv_new(argv[0], NULL);

                strv_add_all(&call, calls[i]);
                if (r == 0)
                        r = run(call, NULL, &done, err);
                strv_free(calls[i]);
        }
        free(calls);
        return r;
}

int foreign_settle(const Layout *layout, bool wanted, bool ipv6, bool *ret_own_table, Error **err)
{
        int r = settle_nft(layout, wanted, ret_own_table, err);

        if (r == 0)
                r = settle_legacy(layout, false, wanted, err);
        if (r == 0 && (ipv6 || !wanted))
                r = settle_legacy(layout, true, wanted, err);
        return r;
}

static void see_chain(const ForeignChain *chain, const char *name, const char *comment, char ***ret_rules)
{
        _cleanup_json_ json_t *all = json_pack("{s:[]}", "nftables");
        _cleanup_free_ char *text = NULL;

        if (list_chain(chain, name, all, NULL) < 0)
                return;
        text = json_dumps(all, 0);
        if (text && strstr(text, comment))
                strv_addf(ret_rules, "%s %s %s", chain->family, chain->table, name);
}

static void see_legacy(bool ipv6, const char *comment, char ***ret_rules)
{
        _cleanup_free_ char *program = legacy_program(ipv6);
        _cleanup_strv_ char **argv = strv_new(program, "-w", "10", "-S", NULL), **lines = NULL;
        _cleanup_process_result_ ProcessResult result = { 0 };

        if (!has_legacy_table(ipv6) || run(argv, NULL, &result, NULL) < 0)
                return;
        lines = strv_split(strbuf_text(&result.output), '\n');
        STRV_FOREACH(line, lines) {
                const char *rest = strstr(*line, comment) ? startswith(*line, "-A ") : NULL;
                _cleanup_free_ char *place = NULL;

                if (!rest)
                        continue;
                place = xasprintf("%s %.*s", program, (int)strcspn(rest, " "), rest);
                if (!strv_contains(*ret_rules, place))
                        strv_add(ret_rules, place);
        }
}

int foreign_see(const Layout *layout, bool *ret_table, char ***ret_chains, char ***ret_rules, Error **err)
{
        _cleanup_free_ char *comment = firewall_table(layout->id);
        _cleanup_foreign_chains_ ForeignChains chains = { 0 };
        int r = list_chains(comment, &chains, err);

        for (size_t i = 0; r == 0 && i < chains.length; i++) {
                const ForeignChain *chain = &chains.items[i];

                see_chain(chain, chain->base, comment, ret_rules);
                if (chain->user)
                        see_chain(chain, chain->user, comment, ret_rules);
        }
        if (r < 0)
                return r;
        *ret_table = chains.own_table;
        *ret_chains = TAKE_PTR(chains.own_chains);
        see_legacy(false, comment, ret_rules);
        see_legacy(true, comment, ret_rules);
        return 0;
}
