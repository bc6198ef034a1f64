/* A second place to read from for whoever meets damage: what cannot be read in one repository is taken from its copy, checked as
 * always, and told. Nothing is mended by this (repair.h does). The copy is opened when it is first needed. */
#ifndef BERTH_REPOSITORY_RESCUE_H
#define BERTH_REPOSITORY_RESCUE_H

#include "base/progress.h"
#include "repository/chunk.h"
#include "repository/repository.h"

typedef struct Rescue Rescue;

/* open gives the copy, which stays the caller's and must outlive the rescue. progress gets a warning for each object. */
typedef int (*RescueOpen)(void *context, Repository **ret, Error **err);
Rescue *rescue_create(RescueOpen open, void *context, const WorkProgress *progress);
void rescue_free(Rescue *rescue);
DEFINE_CLEANUP(Rescue, rescue_free);
/* What was damaged here and taken from there; a strv, borrowed. */
char *const *rescue_objects(const Rescue *rescue);

/* The copy, for reading an object that *failure (an error of reading it here) is about. NULL: there is no rescue, failure is no
 * damage, or the copy cannot be asked, which is told. One thread at a time has it, until rescue_end. */
Repository *rescue_begin(Rescue *rescue, const Error *failure);
/* object: what was taken; NULL: the copy does not have it either. */
void rescue_end(Rescue *rescue, const char *object);

/* A chunk of size bytes into buffer, by the same rules from any thread: true where the copy had it. */
bool rescue_chunk(Rescue *rescue, const Error *failure, const ChunkId *id, void *buffer, size_t size);

#endif
