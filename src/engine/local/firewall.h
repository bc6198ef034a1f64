/* Our nftables table: one per installation, "inet berth_<id>", replaced as a whole and atomically, with a chain per
 * project for the ports that it publishes. Why each rule is there: docs/networking.md. */
#ifndef BERTH_ENGINE_LOCAL_FIREWALL_H
#define BERTH_ENGINE_LOCAL_FIREWALL_H

#include "engine/local/network_state.h"
#include "engine/local/nft.h"

typedef struct FirewallSurroundings {
        char **others; /* bridges to which our containers must not send */
        char **cards;  /* network cards between which nothing may be forwarded: forwarding is on for our sake */
} FirewallSurroundings;

/* The input of `nft -f` that makes the kernel's table agree with the state. Pure; owned by the caller. */
char *firewall_rules(const char *installation_id, const NetworkState *state, const FirewallSurroundings *surroundings);
/* Whether a bridge of that name belongs to the containers or machines of another program: Docker's, Podman's, libvirt's,
 * LXC's, another Berth's. A bridge may be this machine's way out as well, so not every one does. */
bool firewall_is_other_bridge(const char *installation_id, const char *name);
/* "berth_1a2b3c", owned by the caller. */
char *firewall_table(const char *installation_id);

typedef struct FirewallChange {
        NftRun run;
        char *form; /* what is remembered once it is in effect; NULL: nothing is to be done */
} FirewallChange;

#define FIREWALL_CHANGE_INIT { .run = NFT_RUN_INIT }

/* Begins to make the kernel's table agree with the state; what was begun must be finished. Without force nothing is done
 * where the rules are those that were set last, which <run>/firewall.nft remembers. */
int firewall_begin(const Layout *layout, const NetworkState *state, bool force, FirewallChange *ret, Error **err);
/* Returns when it does. */
int firewall_finish(const Layout *layout, FirewallChange *change, Error **err);

#endif
