/* The shell functions that users' scripts expect of docker-entrypoint.sh (the text of entrypoint-functions.sh). */
#ifndef BERTH_POSTGRES_ENTRYPOINT_FUNCTIONS_H
#define BERTH_POSTGRES_ENTRYPOINT_FUNCTIONS_H

const char *functions_text(void);

#endif
