/* The typed form of x-berth: what a service says, else what the top level says, else the default. */
#ifndef BERTH_COMPOSE_XBERTH_H
#define BERTH_COMPOSE_XBERTH_H

#include "compose/project.h"

typedef enum ImageChoice { IMAGE_CHOICE_AUTO, IMAGE_CHOICE_HOST, IMAGE_CHOICE_REGISTRY } ImageChoice;

const char *image_choice_name(ImageChoice choice); /* "auto", "host", "registry" */

typedef struct XBerth {
        int postgres; /* 1, 0, or -1: not said (of services only) */
        ImageChoice images;
        bool use_template;                  /* default true: a new cluster is copied from a template */
        char *migrations_path;              /* as written; NULL */
        char *migrations_table;             /* NULL */
        int64_t migrations_lock_timeout_ns; /* -1: not said */
        bool migrations_on_up;
        char *seed_path;     /* as written; NULL */
        char *seed_service;  /* whose one-off container runs seed_command; NULL: the database's own container */
        char **seed_command; /* NULL */
        char **silence;      /* identifiers of findings that are not to be told; both levels; NULL: none */
} XBerth;

/* service NULL: the top level alone. Strings live in the project's arena. */
void x_berth_read(const Project *project, const Service *service, XBerth *ret);

#endif
