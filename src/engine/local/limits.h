/* Names of resource limits. */
#ifndef BERTH_ENGINE_LOCAL_LIMITS_H
#define BERTH_ENGINE_LOCAL_LIMITS_H

/* "nofile" or "RLIMIT_NOFILE": the number that setrlimit takes; -1 where there is none such. */
int limit_from_name(const char *name);
int limit_from_type(const char *type);

#endif
