/* postgresql.auto.conf as text, for a cluster that does not run. */
#ifndef BERTH_POSTGRES_AUTO_CONF_H
#define BERTH_POSTGRES_AUTO_CONF_H

#include "base/strbuf.h"

/* The text without the lines that make a receiver of ours ("berth_…") the synchronous standby: with them every commit waits for
 * somebody who is not there. true: there was such a line. */
bool auto_conf_drop_synchronous(const char *text, Strbuf *ret);

#endif
