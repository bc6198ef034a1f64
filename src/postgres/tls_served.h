/* The certificate that a running server hands out, as a client sees it: by a handshake of its own, over loopback in the
 * server's network. */
#ifndef BERTH_POSTGRES_TLS_SERVED_H
#define BERTH_POSTGRES_TLS_SERVED_H

#include <sys/types.h>

#include "base/error.h"

/* *ret_pem: the server's own certificate, the caller's; NULL where the server speaks no TLS. The calling process enters
 * the network of pid and stays there. ERROR_UNAVAILABLE: no server answers on that port. */
int tls_look_served(pid_t pid, int port, char **ret_pem, Error **err);
/* Both texts begin with the same certificate. */
bool tls_same_certificate(const char *one_pem, const char *other_pem);

#endif
