/* Containers, volumes and networks as JSON rows with docker's field names. All results are new references, or strings
 * owned by the caller. */
#ifndef BERTH_CLI_DESCRIBE_H
#define BERTH_CLI_DESCRIBE_H

#include "engine/engine.h"
#include "state/layout.h"

/* Name, Service, Project, Image, State, Health, ExitCode, Publishers, Ports, Command, CreatedAt, ID, Labels, Status,
 * RunningFor, Mounts, Networks, … as `docker compose ps --format json` prints them. */
json_t *describe_container(const ContainerInfo *info, bool restarting, bool no_trunc);
/* Whether anybody restarts, checks and backs up the project's containers now. */
bool keeper_lives(const Layout *layout, const char *project);
/* It has ended and its keeper, which lives, will start it again: docker's state "restarting". */
bool container_is_restarting(const Layout *layout, const ContainerInfo *info);
/* "Up 5 minutes (healthy)", "Exited (0) 2 hours ago", "Created". */
char *container_status_text(const ContainerInfo *info);
/* "db-1" for demo-db-1 of project demo; the name itself where it was chosen. */
const char *container_short_name(const ContainerInfo *info);
/* "2 minutes ago"; "never" for 0. */
char *time_ago(int64_t realtime_ns);
/* "2026-11-21 12:00:00 +0000 UTC", as docker prints times. */
char *time_text(int64_t realtime_ns);
/* The container's whole record, as `docker inspect` names its parts. */
json_t *describe_container_fully(const ContainerInfo *info);
json_t *describe_volume(const VolumeInfo *info);
json_t *describe_network(const NetworkInfo *info);
/* An object of KEY=VALUE strings. */
json_t *describe_pairs(char *const *pairs);

#endif
