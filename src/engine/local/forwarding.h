/* Forwarding of packets between interfaces, which containers need and which makes a machine a router for everybody. Where it
 * was off before us, our rules keep it from leading from one network card to another. */
#ifndef BERTH_ENGINE_LOCAL_FORWARDING_H
#define BERTH_ENGINE_LOCAL_FORWARDING_H

#include "base/error.h"
#include "state/layout.h"

/* Switches it on, and notes in <run>/forwarding where it was off. */
int forwarding_enable(const Layout *layout, bool ipv6, Error **err);
/* Whether it was we, in this boot. */
bool forwarding_is_ours(const Layout *layout);

#endif
