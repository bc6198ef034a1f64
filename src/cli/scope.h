/* What a command is about: the project, and which of its services the arguments name. A project is found by its compose
 * file, or, where there is none, by -p or by the name of a container, from the records that the engine keeps. */
#ifndef BERTH_CLI_SCOPE_H
#define BERTH_CLI_SCOPE_H

#include "cli/invocation.h"
#include "engine/engine.h"

typedef struct Scope {
        char *name;       /* of the project */
        bool name_given;  /* by -p, the environment or `name:`, not by the folder */
        Project *project; /* NULL: no compose file; only what the engine knows */
        Engine *engine;
        const Layout *layout; /* the invocation's */
        char **services;      /* named by the arguments, without doubles; NULL: all */
        char **containers;    /* names of containers among the arguments; NULL: none */
} Scope;

void scope_done(Scope *scope);
#define _cleanup_scope_ _cleanup_(scope_done)

enum {
        SCOPE_NEEDS_MODEL = 1 << 0,    /* a compose file must be there (up, run, pull) */
        SCOPE_FORGIVES_MODEL = 1 << 1, /* a compose file with errors is no obstacle: it is only looked at for names */
};

/* Resolves names (services or containers; NULL: none). ERROR_NOT_FOUND for a name that is neither, with the nearest. */
int scope_open(Invocation *invocation, char *const *names, unsigned flags, Scope *ret, Error **err);
/* The options that say which compose files; strings are borrowed from *ret_keep, which the caller frees. */
typedef struct LoadArguments {
        char **files, **env_files, **profiles;
} LoadArguments;
void load_arguments_done(LoadArguments *arguments);
#define _cleanup_load_arguments_ _cleanup_(load_arguments_done)
LoadOptions invocation_load_options(const Invocation *invocation, LoadArguments *ret_keep);

/* The containers of the scope, sorted by service and number: of its services, or all of the project, orphans too.
 * One-off containers only where asked for. */
int scope_containers(const Scope *scope, bool oneoff, ContainerList *ret, Error **err);
/* One running container of a service or by name; index from 1, or 0 for the lowest. ERROR_CONFLICT: not running. */
int scope_container(const Scope *scope, const char *name, int index, bool running, ContainerInfo **ret, Error **err);
/* The scope of a command about one running container: of the service, or by name, --index where it has several. A compose file
 * with errors is no obstacle. */
int scope_open_container(Invocation *invocation, const char *name, Scope *ret, ContainerInfo **ret_info, Error **err);

/* A service that is a copy of a database, made by `clone` or `restore --as`. */
bool scope_is_copy(const Scope *scope, const char *service);

/* Opens the engine that --engine or BERTH_ENGINE names, for looking. */
int invocation_open_engine(const Invocation *invocation, Engine **ret, Error **err);

/* What a request to the keeper says about the model: "model", "working_dir", "files", "environment_values",
 * "name_given". Copies of databases (operate/copies.h) are part of the model. A new reference. */
int scope_model_params(const Scope *scope, json_t **ret, Error **err);

#endif
