/* Tells somebody that something failed, or works again: by a program, a web hook, a mail. Links libcurl: for the worker. */
#ifndef BERTH_OPERATE_ALERT_H
#define BERTH_OPERATE_ALERT_H

#include <jansson.h>

#include "base/error.h"

typedef struct AlertWays {
        char *const *command;  /* argv; NULL: none */
        const char *webhook;   /* https:// or http:// */
        const char *mail_to;   /* an address, or several with commas */
        const char *mail_from; /* NULL: the system's choice */
} AlertWays;

typedef struct Alert {
        const char *project, *service;
        const char *what; /* "backup", "drill" */
        bool good;        /* it works again */
        const char *message;
        int64_t at_ns; /* realtime */
} Alert;

/* All the ways that are set, one after the other; a way that fails does not keep the others back. The error names each
 * that failed. The command gets the alert as JSON on its standard input and as BERTH_ALERT_PROJECT, _SERVICE, _WHAT,
 * _STATE ("failed" or "resolved") and _MESSAGE; the web hook the same JSON by POST; the mail goes to the system's sendmail. */
int alert_send(const AlertWays *ways, const Alert *alert, Error **err);
/* {"project", "service", "what", "state", "message", "time", "host"}: a new reference. */
json_t *alert_to_json(const Alert *alert);

#endif
