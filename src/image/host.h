/* Host images: images made of what this machine's package manager installed (postgres:<major>, migrate/migrate).
 *
 * <data>/images/host/<id>/{image.json, root/}: root is the only layer (a small /etc, /usr/local and empty folders); the
 * folders of /usr besides are the host's, bound read-only. <data>/images/host/<name>.json remembers which
 * id belongs to which state of the packages, so that finding one costs a few stat calls. Links jansson only. */
#ifndef BERTH_IMAGE_HOST_H
#define BERTH_IMAGE_HOST_H

#include <jansson.h>

#include "base/vector.h"
#include "image/image.h"
#include "image/reference.h"
#include "image/store.h"

typedef VECTOR(Image *) ImageVector;

/* Finds or makes the host image of that name. ERROR_UNSUPPORTED, with *err untouched: no host image goes by this name
 * under this policy. ERROR_NOT_FOUND: the packages are missing; the message says which there are. */
int host_image_find(const Layout *layout, const Reference *reference, ImagePolicy policy, Image **ret, Error **err);
/* digits: the id's first 12 to 64. -ERROR_NOT_FOUND without a message. */
int host_image_find_by_id(const Layout *layout, const char *digits, Image **ret, Error **err);
/* Is it what the packages of now give, as far as it was last looked at? */
bool host_image_is_current(const Layout *layout, const Image *image);
/* Appends those made so far; what cannot be read is left out. */
void host_image_list(const Layout *layout, ImageVector *images);
/* Removes what interrupted making left behind. The caller holds store_lock. */
void host_image_remove_leftovers(const Layout *layout);
/* Removes one; absent is fine. The caller holds store_lock. */
int host_image_remove(const Layout *layout, const char *id, Error **err);

/* ---- recipes: host_postgres.c, host_migrate.c ---- */

typedef struct HostFolder {
        const char *path;     /* below the root; parents come first */
        unsigned mode, owner; /* owner: uid and gid */
} HostFolder;

typedef struct HostRecipe {
        char *name;       /* "docker.io/library/postgres:15" */
        char *cache_name; /* "postgres-15" */
        char *key;        /* changes whenever the packages may have changed; cheap to compute */
        char *version;    /* of the package; the identity is made of this, libc and the recipe's number */
        char *source_line;
        char *user_name;     /* extra line of /etc/passwd, uid 999: "postgres"; NULL: none */
        bool wants_locale;   /* en_US.UTF-8 */
        bool has_locale;     /* filled in before it is described: the container will have it */
        char *locale_folder; /* likewise: bound over /usr/lib/locale; NULL: the machine's own will do */
        json_t *config;      /* OCI: Env, Entrypoint, …; owned */
        json_t *binds;       /* [{"source", "target"}], files, beside those of /usr; owned. "libexec:NAME" as source */
        HostFolder *folders;
        size_t n_folders;
} HostRecipe;

void host_recipe_done(HostRecipe *recipe);
#define _cleanup_host_recipe_ _cleanup_(host_recipe_done)

/* Does a name belong to a recipe? Fill name, cache_name, key and wants_locale only; ERROR_UNSUPPORTED or
 * ERROR_NOT_FOUND as above. */
int host_postgres_match(const Reference *reference, ImagePolicy policy, HostRecipe *recipe, Error **err);
int host_migrate_match(const Layout *layout, const Reference *reference, HostRecipe *recipe, Error **err);
/* Fill the rest. */
int host_postgres_describe(HostRecipe *recipe, Error **err);
int host_migrate_describe(const Layout *layout, HostRecipe *recipe, Error **err);

/* Makes folder/root of the recipe. */
int host_root_make(const char *folder, const HostRecipe *recipe, Error **err);

/* [{"source", "target"}]: the folders of /usr that are bound. */
json_t *host_usr_binds(void);
/* Is that one of them ("lib"), or absent or a link? */
bool host_usr_is_bound(const char *name);

/* Whether the machine has the locale en_US.UTF-8 itself. */
bool host_has_locale(void);
/* Path of a folder to be bound over /usr/lib/locale, made where it is missing; NULL where it cannot be made
 * (no localedef or no sources of it). Owned by the caller. */
char *host_locale_folder(const Layout *layout);

/* "2.36" */
const char *host_libc_version(void);
/* Inode, size and time of change: a fingerprint without reading. Owned by the caller. */
char *host_file_key(const char *path);

#endif
