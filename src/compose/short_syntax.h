/* The short forms of compose values, parsed into their parts: ports, volumes, devices, commands, sizes. All return NULL
 * (or false) with *ret_error, in the arena, where the text is wrong. */
#ifndef BERTH_COMPOSE_SHORT_SYNTAX_H
#define BERTH_COMPOSE_SHORT_SYNTAX_H

#include "compose/node.h"

/* "[ip:][host:]container[/proto]" as a list of maps in the long form, one per container port. at: the short text. */
Node *short_port(Arena *arena, const Node *at, const char *text, const char **ret_error);
/* "[source:]target[:options]" as a map in the long form. */
Node *short_volume(Arena *arena, const Node *at, const char *text, const char **ret_error);
/* The target in the short form of a volume; what short_volume would say. */
const char *short_volume_target(Arena *arena, const char *text, const char **ret_error);
/* "source[:target[:permissions]]" */
Node *short_device(Arena *arena, const Node *at, const char *text, const char **ret_error);
/* Words as a shell would split them, without running anything; a list of strings. */
Node *short_command(Arena *arena, const Node *at, const char *text, const char **ret_error);
/* "512m", "1.5g", "100": bytes, binary units. */
bool short_size(Arena *arena, const char *text, int64_t *ret, const char **ret_error);
/* Lexically cleaned, like the reference: "/a//b/../c" is "/a/c", "" is ".". In the arena. */
char *short_clean_path(Arena *arena, const char *path);
/* An IPv4 or IPv6 address. */
bool short_is_ip(const char *text);

#endif
