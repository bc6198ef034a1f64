/* One call of local_network_attach, in the steps that it takes: networks are chosen, addresses allotted and written down
 * (attachment_records.c), files made (attachment_files.c), interfaces connected (attachment_links.c). */
#ifndef BERTH_ENGINE_LOCAL_ATTACHMENT_H
#define BERTH_ENGINE_LOCAL_ATTACHMENT_H

#include "engine/local/netlink.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"
#include "engine/local/ports.h"

typedef struct Attachment {
        const Layout *layout;
        const ContainerSpec *spec;
        const char *id, *run_dir;
        const EngineProgress *progress;
        SpecNetwork *networks; /* sorted: the first gives the default route */
        size_t n_networks;
        NetworkRecord **records; /* of each */
        Endpoint **endpoints;    /* of each */
        HeldPorts ports;
        int namespace_fd;
        Netlink *outside, *inside;
        uint64_t change;
} Attachment;

#define ATTACHMENT_INIT { .namespace_fd = -1 }

void attachment_done(Attachment *attachment);
#define _cleanup_attachment_ _cleanup_(attachment_done)

bool attachment_has_mode(const Attachment *attachment, const char *network_mode);
/* All its networks are internal ones. */
bool attachment_is_internal(const Attachment *attachment);
bool attachment_wants_ipv6(const Attachment *attachment);
bool mac_parse(const char *text, uint8_t ret[MAC_SIZE]);

/* Which networks, none for the modes host and none; "bridge" is made on first use. */
int attachment_choose_networks(Attachment *attachment, Error **err);
/* Allots addresses and writes endpoints and files, under the lock. */
int attachment_allot(Attachment *attachment, Error **err);

/* What does not change in the container's hosts file. Owned by the caller. */
char *attachment_hosts_head(const Attachment *attachment);
int attachment_write_files(const Attachment *attachment, Error **err);

/* Makes the namespace and connects it. */
int attachment_connect(Attachment *attachment, Error **err);

#endif
