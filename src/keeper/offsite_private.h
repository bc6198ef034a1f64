/* What the parts of the keeping of copies elsewhere share. */
#ifndef BERTH_KEEPER_OFFSITE_PRIVATE_H
#define BERTH_KEEPER_OFFSITE_PRIVATE_H

#include "keeper/offsite.h"
#include "operate/backup_settings.h"

#define OFFSITE_WHAT       "off-site copy"
#define OFFSITE_TOLD_AFTER 4 /* failures in a row */

/* One service's copy. */
typedef struct Place {
        char *service;
        json_t *params;        /* of the job; NULL: to be made */
        const json_t *made_of; /* the model that params are made of, for comparison only */
        OffsiteSettings settings;
        int64_t next_ns; /* realtime */
        int64_t set_ns;  /* when that was decided: a clock that is before it was set back */
        bool running;    /* the database */
        bool last_due;   /* it was stopped: its log is copied once more */
        bool gone;       /* the project does not ask for it any more */
} Place;

struct Offsite {
        Keeper *keeper;
        char *path;
        json_t *state; /* {"services": {…}} */
        Strmap places;
        LoopTimer *timer;
        char *at_work; /* the service that is being copied; NULL */
        int cancel_fd;
};

/* ---- what is remembered: offsite_state.c ---- */

int64_t offsite_now_ns(const Offsite *offsite);
/* Of a service, made where there is none; borrowed. */
json_t *offsite_state(Offsite *offsite, const char *service);
void offsite_state_set(json_t *state, const char *key, int64_t value);
int64_t offsite_failures(Offsite *offsite, const char *service);
void offsite_save(Offsite *offsite);
/* The log has come so far, while more is being sent. */
void offsite_note_copied(Offsite *offsite, const char *service, const json_t *event);
/* What a run came to; alerts are told. */
void offsite_note_success(Offsite *offsite, Place *place, json_t *result);
void offsite_note_failure(Offsite *offsite, Place *place, const Error *error);
/* The state of what is not asked for any more would be taken for how it stands. */
void offsite_forget_unwanted(Offsite *offsite);

#endif
