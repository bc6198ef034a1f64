/* A first start made ahead of an entrypoint that is not ours: where a template fits, the cluster is there before the
 * image's own docker-entrypoint.sh looks, which then finds a database and starts it. Whatever a template cannot give
 * (init files above all) is left to the image, untouched. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_AHEAD_H
#define BERTH_POSTGRES_ENTRYPOINT_AHEAD_H

/* Does so and becomes argv, with the environment as it was. Returns an exit status where that failed or a stop signal
 * came. */
int run_ahead(char **argv);
/* The part that needs the server's account, for good: the process of its own that run_ahead starts. args: the server's,
 * "postgres" first. */
int run_ahead_step(char **args);

#endif
