/* Other firewalls' forward chains. A packet must be accepted by all of them, so where one may drop (Docker's, ufw's,
 * firewalld's, a policy of DROP), our bridges are accepted in that chain itself, by two rules with the comment "berth_<id>":
 * in DOCKER-USER after the administrator's own rules where it exists, else at the top. Our table decides what may pass. */
#ifndef BERTH_ENGINE_LOCAL_FOREIGN_H
#define BERTH_ENGINE_LOCAL_FOREIGN_H

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "state/layout.h"

/* What `nft -j list chains` tells us. */
typedef struct ForeignChain {
        char *family, *table, *base; /* a forward chain that is not ours */
        char *user;                  /* "DOCKER-USER" beside it, or NULL */
        bool drops;                  /* by its policy */
} ForeignChain;

typedef struct ForeignChains {
        ForeignChain *items;
        size_t length, capacity;
        bool own_table; /* ours is there */
        char **own_chains;
} ForeignChains;
void foreign_chains_done(ForeignChains *chains);
#define _cleanup_foreign_chains_ _cleanup_(foreign_chains_done)

/* Pure: reads the listing. */
int foreign_parse_chains(const char *json_text, const char *own_table, ForeignChains *ret, Error **err);

/* What must be done to one chain, as input of nft; nothing where all is well. listing: the JSON of `nft -a -j list chain`
 * of the base chain and, where there is one, of the user chain. wanted false: takes our rules out. Pure. */
int foreign_plan(const ForeignChain *chain, json_t *listing, const char *installation_id, bool wanted, Strbuf *ret,
                 Error **err);

/* The same for iptables-legacy: listing is the output of `iptables-legacy -S`. *ret: one vector of arguments (without the
 * program's name) for each call to make; the caller frees each and the array. Pure. */
void foreign_plan_legacy(const char *listing, const char *installation_id, bool wanted, char ****ret,
                         size_t *ret_length);

/* What is there: our table, its chains, and the places of our rules in others' chains ("ip filter DOCKER-USER",
 * "iptables-legacy FORWARD"), each once. The vectors are the caller's. */
int foreign_see(const Layout *layout, bool *ret_table, char ***ret_chains, char ***ret_rules, Error **err);

/* Looks and acts. *ret_own_table tells whether our own table is there. */
int foreign_settle(const Layout *layout, bool wanted, bool ipv6, bool *ret_own_table, Error **err);

#endif
