#include "engine/local/foreign.h"

#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/firewall.h"
#include "engine/local/network_state.h"
#include "state/document.h"

#define USER_CHAIN "DOCKER-USER"

void foreign_chains_done(ForeignChains *chains)
{
        VECTOR_FOREACH(chain, chains) {
                free(chain->family);
                free(chain->table);
                free(chain->base);
                free(chain->user);
        }
        strv_free(chains->own_chains);
        vector_done(chains);
}

static bool is_of_interest(const json_t *chain)
{
        const char *family = json_get_string(chain, "family", "");
        const char *table = json_get_string(chain, "table", "");

        return (streq(family, "ip") || streq(family, "ip6") || streq(family, "inet")) && !startswith(table, "berth_");
}

static void note_base_chain(const json_t *chain, ForeignChains *ret)
{
        if (!streq(json_get_string(chain, "hook", ""), "forward") || !is_of_interest(chain))
                return;
        *vector_add_zero(ret) = (ForeignChain){ .family = xstrdup(json_get_string(chain, "family", "")),
                                                .table = xstrdup(json_get_string(chain, "table", "")),
                                                .base = xstrdup(json_get_string(chain, "name", "")),
                                                .drops = streq(json_get_string(chain, "policy", ""), "drop") };
}

static void note_user_chain(const json_t *chain, ForeignChains *ret)
{
        if (!streq(json_get_string(chain, "name", ""), USER_CHAIN))
                return;
        VECTOR_FOREACH(known, ret)
                if (streq(known->family, json_get_string(chain, "family", "")) &&
                    streq(known->table, json_get_string(chain, "table", "")) && !known->user)
                        known->user = xstrdup(USER_CHAIN);
}

int foreign_parse_chains(const char *json_text, const char *own_table, ForeignChains *ret, Error **err)
{
        _cleanup_json_ json_t *document = json_loads(json_text, 0, NULL);
        json_t *items = json_object_get(document, "nftables"), *item;
        size_t i;

        if (!json_is_array(items))
                return error_set(err, ERROR_FAILED, "nft lists chains in a form that is not known");
        json_array_foreach(items, i, item) {
                const json_t *chain = json_object_get(item, "chain");

                if (!chain)
                        continue;
                note_base_chain(chain, ret);
                if (streq(json_get_string(chain, "table", ""), own_table))
                        strv_add(&ret->own_chains, json_get_string(chain, "name", ""));
        }
        json_array_foreach(items, i, item)
                note_user_chain(json_object_get(item, "chain"), ret);
        ret->own_table = ret->own_chains;
        return 0;
}

/* ---- nftables, and iptables where it stands on nftables ---- */

typedef VECTOR(const json_t *) Rules;

static Rules rules_of(const json_t *listing, const char *chain_name)
{
        json_t *items = json_object_get(listing, "nftables"), *item;
        Rules rules = { 0 };
        size_t i;

        json_array_foreach(items, i, item) {
                const json_t *rule = json_object_get(item, "rule");

                if (rule && streq(json_get_string(rule, "chain", ""), chain_name))
                        vector_add(&rules, rule);
        }
        return rules;
}

static bool is_ours(const json_t *rule, const char *comment)
{
        return streq(json_get_string(rule, "comment", ""), comment);
}

static size_t count_ours(const Rules *rules, const char *comment)
{
        size_t count = 0;

        for (size_t i = 0; i < rules->length; i++)
                count += is_ours(rules->items[i], comment);
        return count;
}

static void add_deletions(Strbuf *plan, const ForeignChain *chain, const char *name, const Rules *rules,
                          const char *comment)
{
        for (size_t i = 0; i < rules->length; i++)
                if (is_ours(rules->items[i], comment))
                        strbuf_addf(plan, "delete rule %s %s %s handle %lld\n", chain->family, chain->table, name,
                                    (long long)json_get_int(rules->items[i], "handle", 0));
}

/* The bare "return" that Docker ends the chain with. */
static bool is_bare_return(const json_t *rule)
{
        json_t *expressions = json_object_get(rule, "expr"), *expression;
        bool returns = false;
        size_t i;

        json_array_foreach(expressions, i, expression) {
                if (json_object_get(expression, "return"))
                        returns = true;
                else if (!json_object_get(expression, "counter"))
                        return false;
        }
        return returns;
}

static void add_acceptance(Strbuf *plan, const ForeignChain *chain, const char *place, const char *installation_id)
{
        static const char *const directions[] = { "iifname", "oifname" };

        for (size_t i = 0; i < ARRAY_SIZE(directions); i++)
                strbuf_addf(plan, "%s %s \"" KERNEL_NAME_PREFIX "%sb*\" accept comment \"berth_%s\"\n", place,
                            directions[i], installation_id, installation_id);
}

static void plan_user_chain(Strbuf *plan, const ForeignChain *chain, const Rules *rules, const char *installation_id)
{
        const json_t *last = rules->length > 0 ? rules->items[rules->length - 1] : NULL;
        _cleanup_free_ char *place = NULL;

        if (last && is_bare_return(last))
                place = xasprintf("insert rule %s %s %s handle %lld", chain->family, chain->table, chain->user,
                                  (long long)json_get_int(last, "handle", 0));
        else
                place = xasprintf("add rule %s %s %s", chain->family, chain->table, chain->user);
        add_acceptance(plan, chain, place, installation_id);
}

/* Ours are the first two. */
static bool is_on_top(const Rules *rules, const char *comment)
{
        return rules->length >= 2 && is_ours(rules->items[0], comment) && is_ours(rules->items[1], comment);
}

int foreign_plan(const ForeignChain *chain, json_t *listing, const char *installation_id, bool wanted, Strbuf *ret,
                 Error **err)
{
        _cleanup_free_ char *comment = firewall_table(installation_id);
        Rules base = rules_of(listing, chain->base), user = chain->user ? rules_of(listing, chain->user) : (Rules){ 0 };
        size_t in_base = count_ours(&base, comment), in_user = count_ours(&user, comment);
        bool may_drop = chain->drops || base.length > in_base;
        _cleanup_free_ char *place = xasprintf("insert rule %s %s %s", chain->family, chain->table, chain->base);

        if (chain->user && wanted) {
                add_deletions(ret, chain, chain->base, &base, comment);
                if (in_user != 2) {
                        add_deletions(ret, chain, chain->user, &user, comment);
                        plan_user_chain(ret, chain, &user, installation_id);
                }
        } else if (wanted && may_drop) {
                if (in_base != 2 || !is_on_top(&base, comment)) {
                        add_deletions(ret, chain, chain->base, &base, comment);
                        add_acceptance(ret, chain, place, installation_id);
                }
        } else {
                add_deletions(ret, chain, chain->base, &base, comment);
                add_deletions(ret, chain, chain->user, &user, comment);
        }
        vector_done(&base);
        vector_done(&user);
        return 0;
}

/* ---- iptables-legacy ---- */

typedef VECTOR(char **) Calls;

static void add_call(Calls *calls, const char *verb, const char *chain, int position, const char *rest)
{
        _cleanup_strv_ char **words = strv_split(rest, ' ');
        char **call = strv_new("-w", "10", verb, chain, NULL);

        if (position > 0)
                strv_addf(&call, "%d", position);
        strv_add_all(&call, words);
        vector_add(calls, call);
}

typedef struct LegacyChain {
        int rules, ours, ours_on_top;
        bool exists, drops, ends_with_return;
} LegacyChain;

static LegacyChain read_legacy(char *const *lines, const char *name, const char *comment)
{
        _cleanup_free_ char *rule = xasprintf("-A %s ", name), *made = xasprintf("-N %s", name);
        _cleanup_free_ char *policy = xasprintf("-P %s ", name), *end = xasprintf("-A %s -j RETURN", name);
        LegacyChain chain = { 0 };

        STRV_FOREACH(line, lines) {
                const char *value = startswith(*line, policy);

                chain.exists = chain.exists || value || streq(*line, made);
                chain.drops = chain.drops || (value && startswith(value, "DROP"));
                if (!startswith(*line, rule))
                        continue;
                if (strstr(*line, comment)) {
                        chain.ours++;
                        chain.ours_on_top += chain.rules < 2;
                }
                chain.rules++;
                chain.ends_with_return = streq(*line, end);
        }
        return chain;
}

static void delete_legacy(Calls *calls, char *const *lines, const char *name, const char *comment)
{
        _cleanup_free_ char *rule = xasprintf("-A %s ", name);

        STRV_FOREACH(line, lines) {
                const char *rest = startswith(*line, rule);

                if (rest && strstr(rest, comment))
                        add_call(calls, "-D", name, 0, rest);
        }
}

static void accept_legacy(Calls *calls, const char *name, int position, const char *installation_id)
{
        static const char *const directions[] = { "-i", "-o" };

        for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
                _cleanup_free_ char *rest =
                        xasprintf("%s " KERNEL_NAME_PREFIX "%sb+ -m comment --comment berth_%s -j ACCEPT",
                                  directions[i], installation_id, installation_id);

                add_call(calls, "-I", name, position, rest);
        }
}

void foreign_plan_legacy(const char *listing, const char *installation_id, bool wanted, char ****ret,
                         size_t *ret_length)
{
        _cleanup_free_ char *comment = firewall_table(installation_id);
        _cleanup_strv_ char **lines = strv_split(listing, '\n');
        LegacyChain base = read_legacy(lines, "FORWARD", comment), user = read_legacy(lines, USER_CHAIN, comment);
        bool in_user = wanted && user.exists;
        bool in_base = wanted && !user.exists && (base.drops || base.rules > base.ours);
        Calls calls = { 0 };

        if (!in_base || base.ours != 2 || base.ours_on_top != 2)
                delete_legacy(&calls, lines, "FORWARD", comment);
        if (!in_user || user.ours != 2)
                delete_legacy(&calls, lines, USER_CHAIN, comment);
        if (in_base && (base.ours != 2 || base.ours_on_top != 2))
                accept_legacy(&calls, "FORWARD", 1, installation_id);
        if (in_user && user.ours != 2)
                accept_legacy(&calls, USER_CHAIN, user.rules - user.ours + (user.ends_with_return ? 0 : 1),
                              installation_id);
        *ret = calls.items;
        *ret_length = calls.length;
}
