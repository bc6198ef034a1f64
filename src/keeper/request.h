/* One request of a client, from its line on the socket to its result. It outlives a client that leaves. Loop's thread only,
 * except request_progress's functions, which are called from threads of the pool. */
#ifndef BERTH_KEEPER_REQUEST_H
#define BERTH_KEEPER_REQUEST_H

#include "keeper/keeper.h"

struct Request {
        Keeper *keeper;
        Channel *channel; /* NULL: the client has gone, or there was none */
        char *method;
        json_t *params; /* an object */
        bool cancelled;
        bool aside;            /* begun at once, beside the queue */
        int cancel_fd;         /* readable once cancelled, for engines */
        Strmap first_event_ns; /* resource name → when its first event was */
        void (*finished)(void *context, json_t *result, const Error *error); /* instead of a channel; NULL */
        void *context;
};

/* params may be NULL and is borrowed. */
Request *request_create(Keeper *keeper, Channel *channel, const char *method, json_t *params);
void request_free(Request *request);
DEFINE_CLEANUP(Request, request_free);
void request_cancel(Request *request);

/* Events to the client. */
void request_resource(Request *request, const char *kind, const char *name, const char *service, const char *id,
                      const char *state, const char *text);
void request_note(Request *request, const char *format, ...) _printf_(2, 3);
void request_warning(Request *request, const char *format, ...) _printf_(2, 3);

/* The end: sends the result (taken; NULL: {}) or the error, frees the request and begins the next one. */
void request_finish(Request *request, json_t *result);
void request_fail(Request *request, const Error *error);

/* For engine calls on behalf of a request: what they tell becomes events about (kind, name). Must not outlive the request. */
typedef struct RequestProgress {
        EngineProgress progress; /* first: hand &progress to the engine */
        Request *request;
        char *kind, *name, *service;
        int64_t last_bytes_ns;
} RequestProgress;
void request_progress_init(RequestProgress *progress, Request *request, const char *kind, const char *name,
                           const char *service);
void request_progress_done(RequestProgress *progress);
/* From any thread: a resource of its own, of the same service. text may be NULL. */
void request_progress_resource(const RequestProgress *progress, const char *kind, const char *name, const char *state,
                               const char *text);

/* ---- methods: each takes the request over and ends it by request_finish or request_fail ---- */
void request_begin(Request *request);
void method_up(Request *request); /* deployment.c */
void method_pull(Request *request);
void method_run(Request *request);
void method_down(Request *request); /* operation.c */
void method_start(Request *request);
void method_stop(Request *request);
void method_restart(Request *request);
void method_boot(Request *request);
void method_halt(Request *request);
void method_rm(Request *request);
void method_kill(Request *request);
void method_release(Request *request); /* release.c */
void method_refresh(Request *request); /* refresh.c */
void method_pause(Request *request);
void method_unpause(Request *request);
void method_start_oneoff(Request *request);
void method_restore(Request *request); /* restore.c */
void method_restore_part(Request *request);
void method_restore_exchange(Request *request);

#endif
