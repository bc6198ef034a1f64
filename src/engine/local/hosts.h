/* What a container finds in /etc/hosts and /etc/resolv.conf. Pure: texts from data. */
#ifndef BERTH_ENGINE_LOCAL_HOSTS_H
#define BERTH_ENGINE_LOCAL_HOSTS_H

#include "engine/local/network_state.h"

/* Whether text can stand as one word of a hosts file: what cannot is left out. */
bool hosts_is_word(const char *text);

typedef struct HostsSelf {
        const char *hostname, *domainname; /* domainname may be NULL */
        char *const *addresses;            /* the container's own */
        const char *gateway;               /* what host-gateway means; NULL: unknown */
        char *const *extra_hosts;          /* "name=address" */
} HostsSelf;
/* The part of a hosts file that stays as long as the container runs: loopback, extra_hosts, itself. Owned by the caller. */
char *hosts_head(const HostsSelf *self);
/* The whole file of container id: the head and the names of its peers. Each name stands for the addresses that it has in
 * the first of the container's networks that knows it. Owned by the caller; NULL where id has no endpoint. */
char *hosts_text(const NetworkState *state, const char *id);

typedef struct ResolvWish {
        char *const *servers, *const *search, *const *options; /* NULL: the host's */
        bool ipv6;
        bool keep_loopback;    /* the container lives in the host's namespace */
        bool names_from_hosts; /* add "ndots:0": single names may be services */
} ResolvWish;
/* host_text: the host's resolv.conf. Servers on loopback addresses, which a container cannot reach, are left out; where
 * none remains, public ones take their place, as Docker does. Owned by the caller. */
char *resolv_text(const char *host_text, const ResolvWish *wish);
/* The resolv.conf to start from: systemd-resolved's own list where /etc/resolv.conf has its stub alone. "" where there
 * is none; owned by the caller. */
char *resolv_read_host(void);

#endif
