/* One tree laid over another, by the rules of compose for each key; and lists without repetitions. */
#ifndef BERTH_COMPOSE_MERGE_H
#define BERTH_COMPOSE_MERGE_H

#include "compose/loader.h"

/* Lays over on base, both of which it may change and keep parts of. Yields the result. */
Node *merge_trees(Loader *loader, Node *base, Node *over);
/* The same for one service (extends). */
Node *merge_service(Loader *loader, const char *name, Node *base, Node *over);
/* Of items of a list that mean the same thing (a variable, a target, a port) the last one stays, in the first one's
 * place. A list with an item that cannot mean anything stays as it is; checked: that is a mistake, to be told. */
void merge_enforce_unique(Loader *loader, Node *root, bool checked);

/* The places of !reset and !override in a document: what stood there before is dropped. */
typedef struct ResetPaths {
        const char ***items; /* each a vector of keys, ends with NULL */
        size_t length;
} ResetPaths;

/* Collects them and removes the nodes tagged !reset. */
void reset_collect(Loader *loader, Node *root, ResetPaths *ret);
/* Removes what the paths name from root. */
void reset_apply(const ResetPaths *paths, Node *root);
/* Removes what the paths name from one service that is to be extended. */
void reset_apply_service(const ResetPaths *paths, const char *name, Node *service);

#endif
