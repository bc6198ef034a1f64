/* Template clusters, host side: where they lie, how a container gets to see them, and when one is made. A template
 * serves every later first start of the same image with the same arguments, locale, user and database, in any project.
 * <data>/templates/<image>/<key>/; the key is the entrypoint's own affair (postgres/entrypoint/template.h). */
#ifndef BERTH_OPERATE_TEMPLATE_H
#define BERTH_OPERATE_TEMPLATE_H

#include "engine/engine.h"
#include "state/layout.h"

/* Of an image's id, in the name of its folder. */
#define TEMPLATE_NAME_DIGITS 32

/* Binds the image's folder of templates into a container of a database, read-only. Host images have our entrypoint. An
 * image with docker-entrypoint.sh of its own and no init files keeps that: a launcher goes before it, which makes the
 * first start where a template fits and leaves all else to the image. For others nothing is done. */
int template_offer(const Layout *layout, const Image *image, ContainerSpec *spec, Error **err);
/* Makes the template for this container where it is missing and the container's data folder is fresh. Takes about as
 * long as initdb, once. What goes wrong costs nothing but time: initdb will do. */
int template_prepare(const Layout *layout, Engine *engine, const Image *image, const ContainerSpec *spec, Error **err);

/* Removes the templates of images that are gone, and those that made no cluster for thirty days. The folder of an image that a
 * container has bound stays, with those of its templates that were used since. Names of what was removed, "IMAGE" or
 * "IMAGE/KEY", are added to *ret_removed, bytes to *ret_freed. */
int template_prune(const Layout *layout, Engine *engine, char ***ret_removed, uint64_t *ret_freed, Error **err);

#endif
