#include "operate/receiver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/receiver_private.h"

#define RETRY_MIN_NS (200 * NSEC_PER_MSEC)
#define RETRY_MAX_NS (10 * NSEC_PER_SEC)
/* Between two syncs, while the log keeps coming: each one costs the server's own disk something. */
#define SYNC_NS (40 * NSEC_PER_MSEC)
/* Commits wait: all that has arrived is synced together, and what arrives meanwhile after it. */
#define SYNCHRONOUS_NS     (1 * NSEC_PER_MSEC)
#define UNDEFINED_FILE     "58P01" /* SQLSTATE of "requested WAL segment has already been removed" */
#define GATHER_MS          20
#define GATHER_LIMIT_BYTES (64 * 1024u) /* more is taken as it comes */
#define LOCK_MS            5000         /* the receiver of the last run of the server may still be filing */

typedef struct Receiver {
        const ReceiverOptions *options;
        Repository *repository;
        int lock_fd, server_fd; /* server_fd: readable when its process has ended; -1: it is not ours to see */
        ServerIdentity identity;
        PGconn *connection;
        Filer *filer;
        SegmentFile segment;
        ReceiverState state;
        Synchronous synchronous;
        uint32_t timeline;  /* being streamed */
        Lsn position;       /* the next byte */
        size_t taken_bytes; /* of the log, at the last look */
        int64_t synced_ns;
        Pulse pulse;
        bool server_gone, told_to_stop, told_otherwise;
        bool removed; /* the server does not have the next segment any more */
} Receiver;

static void receiver_done(Receiver *receiver)
{
        segment_close(&receiver->segment);
        filer_free(receiver->filer); /* files what was posted */
        PQfinish(receiver->connection);
        fs_close(receiver->lock_fd);
        fs_close(receiver->server_fd);
        free(receiver->state.message);
        free(receiver->synchronous.message);
        repository_free(receiver->repository);
}
#define _cleanup_receiver_ _cleanup_(receiver_done)

static bool is_over(const Receiver *receiver)
{
        return receiver->server_gone || receiver->told_to_stop;
}

static void tell(Receiver *receiver, bool now)
{
        receiver->state.received = receiver->position;
        receiver->state.timeline = receiver->timeline;
        receiver_state_tell(&receiver->state, receiver->options, receiver->repository, now);
}

static const char *repository_path(const Receiver *receiver)
{
        return receiver->repository ? receiver->repository->path : NULL;
}

static void take_signal(Receiver *receiver)
{
        struct signalfd_siginfo info;

        if (read(receiver->options->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return;
        if (info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2) {
                receiver->synchronous.paused = info.ssi_signo == SIGUSR1;
                if (!receiver->synchronous.paused) /* somebody else may have taken it back meanwhile */
                        synchronous_look_anew(&receiver->synchronous);
                receiver->told_otherwise = true;
        } else {
                receiver->told_to_stop = true;
        }
}

/* Nobody waits for it from here on, where that is not wanted (any more). */
static void obey(Receiver *receiver)
{
        _cleanup_error_ Error *error = NULL;

        if (!receiver->told_otherwise || receiver->server_gone)
                return;
        receiver->told_otherwise = false;
        if (!synchronous_is_wanted(&receiver->synchronous) &&
            synchronous_end(&receiver->synchronous, repository_path(receiver), &error) < 0) {
                receiver->told_otherwise = true; /* again, soon */
                if (receiver->options->failed)
                        receiver->options->failed(error);
        }
        tell(receiver, true);
}

/* Waits for the connection (where there is one), for the server's end, or for the word to stop. */
static void wait_for_something(Receiver *receiver, bool with_connection, int64_t wait_ns)
{
        struct pollfd items[3] = {
                { .fd = with_connection ? PQsocket(receiver->connection) : -1, .events = POLLIN },
                { .fd = receiver->server_fd, .events = POLLIN },
                { .fd = receiver->options->signal_fd, .events = POLLIN },
        };

        if (poll(items, ARRAY_SIZE(items), (int)((wait_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC)) <= 0)
                return;
        if (items[2].revents)
                take_signal(receiver);
        /* A server that has ended may have left something in the socket: that is read first. */
        receiver->server_gone = items[1].revents != 0 && !items[0].revents;
}

/* The server sends each commit by itself; where none waits for us they are taken some milliseconds' worth at a time, or waking for
 * each would take from the server what it needs for its work. What is less than the socket holds stays there meanwhile. */
static void gather(const Receiver *receiver)
{
        struct pollfd items[] = {
                { .fd = receiver->server_fd, .events = POLLIN },
                { .fd = receiver->options->signal_fd, .events = POLLIN },
        };

        if (!receiver->options->synchronous && receiver->taken_bytes > 0 && receiver->taken_bytes < GATHER_LIMIT_BYTES)
                poll(items, ARRAY_SIZE(items), GATHER_MS);
}

/* ---- taking the log ---- */

static int acknowledge(Receiver *receiver, bool ask, Error **err)
{
        if (ask)
                pulse_asked(&receiver->pulse);
        return replication_send_status(receiver->connection, receiver->position, receiver->state.flushed, ask, err);
}

static void note_moment(Receiver *receiver, CaughtUp moment)
{
        moment.timeline = receiver->timeline;
        if (caught_up_write(receiver->repository, &moment, NULL) == 0)
                receiver->state.caught_up_ns = moment.at_ns;
}

static int sync_and_acknowledge(Receiver *receiver, Error **err)
{
        int r = segment_sync(&receiver->segment, err);
        CaughtUp moment;

        if (r < 0)
                return r;
        receiver->synced_ns = clock_monotonic_ns();
        receiver->state.flushed = receiver->position;
        if (pulse_synced(&receiver->pulse, receiver->state.flushed, &moment))
                note_moment(receiver, moment);
        return acknowledge(receiver, false, err);
}

static int end_segment(Receiver *receiver, Error **err)
{
        int r = sync_and_acknowledge(receiver, err);

        if (r < 0)
                return r;
        segment_close(&receiver->segment);
        filer_post(receiver->filer, receiver->segment.name);
        return filer_error(receiver->filer, err);
}

/* A message may cross the border of segments. */
static int take_data(Receiver *receiver, const WalMessage *message, Error **err)
{
        uint32_t segment_bytes = receiver->identity.segment_bytes;
        const char *data = message->data;
        size_t left = message->size;

        if (message->start != receiver->position)
                return error_set(err, ERROR_CORRUPT,
                                 "the server sends a piece of its log that does not follow the last one");
        while (left > 0) {
                Lsn start = wal_segment_start(receiver->position, segment_bytes);
                size_t n = (size_t)MIN((Lsn)left, start + segment_bytes - receiver->position);
                int r = receiver->segment.fd >= 0 ? 0
                                                  : segment_open(&receiver->segment, receiver->repository,
                                                                 receiver->timeline, start, segment_bytes, err);

                if (r == 0)
                        r = segment_write(&receiver->segment, receiver->position, data, n, err);
                if (r < 0)
                        return r;
                receiver->position += n;
                data += n;
                left -= n;
                if (receiver->position == start + segment_bytes) {
                        r = end_segment(receiver, err);
                        if (r < 0)
                                return r;
                }
        }
        receiver->state.received_ns = clock_realtime_ns();
        pulse_forget(&receiver->pulse);
        /* An older timeline's end is not the server's. */
        if (message->start + message->size == message->server_end && receiver->timeline == receiver->identity.timeline)
                pulse_came(&receiver->pulse, message->server_end, message->sent_ns);
        return 0;
}

/* The server says where it is. */
static void take_place(Receiver *receiver, Lsn server)
{
        CaughtUp moment;

        if (!pulse_answered(&receiver->pulse, server, &moment) || receiver->state.flushed < server)
                return;
        note_moment(receiver, moment);
}

static int64_t sync_pause_ns(const Receiver *receiver)
{
        return receiver->synchronous.state == SYNCHRONOUS_ON ? SYNCHRONOUS_NS : SYNC_NS;
}

/* It has what the server had when that last spoke. */
static bool has_all(const Receiver *receiver)
{
        return receiver->state.server > 0 && receiver->state.flushed >= receiver->state.server;
}

/* All that is there now. 1: something came. */
static int take_all(Receiver *receiver, Error **err)
{
        bool wants_reply = false;
        int came = 0, r;

        receiver->taken_bytes = 0;
        for (;;) {
                WalMessage message;
                char *buffer = NULL;

                r = replication_receive(receiver->connection, &message, &buffer, err);
                if (r <= 0)
                        break;
                receiver->state.server = MAX(receiver->state.server, message.server_end);
                wants_reply |= message.reply_wanted;
                came |= message.data != NULL;
                receiver->taken_bytes += message.data ? message.size : 0;
                r = message.data ? take_data(receiver, &message, err) : 0;
                if (!message.data)
                        take_place(receiver, message.server_end);
                PQfreemem(buffer);
                if (r < 0)
                        return r;
                if (clock_monotonic_ns() - receiver->synced_ns > sync_pause_ns(receiver))
                        break;
        }
        if (r >= 0 && wants_reply)
                r = sync_and_acknowledge(receiver, err);
        return r < 0 ? r : came;
}

/* 0 at the end of this timeline, of the server, or where told so. */
static int stream(Receiver *receiver, Error **err)
{
        int r;

        for (;;) {
                _cleanup_error_ Error *ended = NULL;
                bool behind;
                int64_t now_ns;

                r = take_all(receiver, &ended);
                if (r == -ERROR_CANCELLED)
                        break;
                if (r < 0)
                        return error_move(err, &ended, r);
                now_ns = clock_monotonic_ns();
                behind = receiver->state.flushed < receiver->position;
                r = 0;
                if (behind &&
                    (now_ns - receiver->synced_ns >= SYNC_NS || receiver->synchronous.state == SYNCHRONOUS_ON))
                        r = sync_and_acknowledge(receiver, err);
                if (r == 0 && pulse_due_in_ns(&receiver->pulse) == 0)
                        r = acknowledge(receiver, true, err);
                if (r < 0)
                        return r;
                obey(receiver);
                tell(receiver,
                     has_all(receiver) && synchronous_streams(&receiver->synchronous, repository_path(receiver)));
                if (is_over(receiver))
                        break;
                behind = receiver->state.flushed < receiver->position;
                gather(receiver);
                wait_for_something(receiver, true, behind ? SYNC_NS : pulse_due_in_ns(&receiver->pulse));
        }
        return segment_sync(&receiver->segment, err);
}

/* ---- one connection ---- */

static int open_repository(Receiver *receiver, Error **err)
{
        const ReceiverOptions *options = receiver->options;
        _cleanup_free_ char *folder = layout_data(options->layout, "backups/%s/%s", options->project, options->service);
        _cleanup_free_ char *lock = NULL;
        int r;

        if (receiver->repository && receiver->repository->system_identifier == receiver->identity.system_identifier)
                return 0;
        if (receiver->repository)
                return error_set(err, ERROR_CONFLICT, "the server is another cluster now");
        r = repository_create(folder, options->project, options->service, receiver->identity.system_identifier,
                              &receiver->repository, err);
        if (r < 0)
                return r;
        lock = path_join(receiver->repository->path, "wal.lock");
        r = lock_file(lock, LOCK_MS, &receiver->lock_fd, err);
        if (r == 0)
                r = filer_create(receiver->repository, receiver->identity.segment_bytes, &receiver->filer, err);
        if (r == 0)
                r = filer_take_over(receiver->filer, err);
        return error_prefix(err, r, "repository \"%s\"", receiver->repository->path);
}

static void take_position(Receiver *receiver, uint32_t timeline, Lsn start)
{
        segment_close(&receiver->segment);
        receiver->timeline = timeline;
        receiver->position = start;
        receiver->state.flushed = start;
        receiver->pulse = (Pulse){ 0 };
}

static int open_connection(Receiver *receiver, Error **err)
{
        ReceiverStart start;
        int r = postgres_connect(&receiver->options->target, CONNECT_REPLICATION, receiver->options->slot,
                                 &receiver->connection, err);

        if (r == 0)
                r = replication_identify(receiver->connection, &receiver->identity, err);
        if (r == 0)
                r = open_repository(receiver, err);
        if (r == 0)
                r = receiver_find_start(receiver->options, receiver->connection, &receiver->identity,
                                        receiver->repository, receiver->removed, &start, err);
        if (r < 0)
                return r;
        if (start.gap)
                receiver->state.gap_ns = clock_realtime_ns();
        take_position(receiver, start.timeline, start.start);
        synchronous_look_anew(&receiver->synchronous);
        receiver->state.server = 0;      /* nothing was said on this connection yet */
        receiver->told_otherwise = true; /* who was here before may have left it on */
        return 0;
}

/* Timeline after timeline, until the connection or the server ends. */
static int follow(Receiver *receiver, Error **err)
{
        for (;;) {
                uint32_t next = 0;
                Lsn switch_lsn = 0;
                int r = replication_start(receiver->connection, receiver->options->slot, receiver->position,
                                          receiver->timeline, err);

                if (r < 0)
                        return r;
                receiver->state.phase = "streaming";
                free_and_replace(&receiver->state.message, NULL);
                tell(receiver, true);
                r = stream(receiver, err);
                if (r < 0 || is_over(receiver))
                        return r;
                r = replication_end(receiver->connection, &next, &switch_lsn, err);
                if (r < 0 || !next)
                        return r;
                take_position(receiver, next, wal_segment_start(switch_lsn, receiver->identity.segment_bytes));
        }
}

static int run_once(Receiver *receiver, Error **err)
{
        int r;

        receiver->state.phase = "connecting";
        tell(receiver, true);
        r = open_connection(receiver, err);
        if (r == 0)
                r = follow(receiver, err);
        PQfinish(receiver->connection); /* a server that shuts down does not wait for who is gone */
        receiver->connection = NULL;
        return r;
}

static int prepare(Receiver *receiver, Error **err)
{
        _cleanup_free_ char *path = receiver_state_path(receiver->options), *folder = path_dirname(path);
        int r = fs_make_directories(folder, 0700, err);

        if (r < 0 || receiver->options->target.pid <= 0)
                return r;
        receiver->server_fd = (int)syscall(SYS_pidfd_open, receiver->options->target.pid, 0);
        if (receiver->server_fd < 0 && errno == ESRCH)
                receiver->server_gone = true;
        return 0;
}

/* What the server's end does not do: commits wait for nobody who has gone by himself. */
static void leave(Receiver *receiver)
{
        _cleanup_error_ Error *error = NULL;

        if (receiver->server_gone)
                return;
        receiver->synchronous.paused = true;
        if (synchronous_end(&receiver->synchronous, repository_path(receiver), &error) < 0 && receiver->options->failed)
                receiver->options->failed(error);
}

int receiver_run(const ReceiverOptions *options, Error **err)
{
        _cleanup_receiver_ Receiver receiver = { .options = options, .lock_fd = -1, .server_fd = -1, .segment.fd = -1 };
        int64_t retry_ns = RETRY_MIN_NS;
        int r;

        synchronous_init(&receiver.synchronous, options);
        receiver.state.synchronous = &receiver.synchronous;
        r = prepare(&receiver, err);

        while (r == 0 && !is_over(&receiver)) {
                _cleanup_error_ Error *error = NULL;
                int64_t begun_ns = clock_monotonic_ns();

                r = run_once(&receiver, &error);
                if (r == -ERROR_CONFLICT)
                        return error_move(err, &error, r); /* another receiver is at work, or another cluster */
                if (is_over(&receiver))
                        break;
                if (r < 0) {
                        receiver.removed = streq(error->sqlstate, UNDEFINED_FILE);
                        receiver.state.phase = "failed";
                        if (options->failed && !streq_ptr(receiver.state.message, error->message))
                                options->failed(error); /* the same once */
                        free_and_replace(&receiver.state.message, xstrdup(error->message));
                        tell(&receiver, true);
                }
                r = 0;
                retry_ns =
                        clock_monotonic_ns() - begun_ns > RETRY_MAX_NS ? RETRY_MIN_NS : MIN(2 * retry_ns, RETRY_MAX_NS);
                obey(&receiver);
                wait_for_something(
                        &receiver, false,
                        MIN(retry_ns, synchronous_is_down(&receiver.synchronous, repository_path(&receiver))));
        }
        leave(&receiver);
        receiver.state.phase = "ended";
        tell(&receiver, true);
        return MIN(r, 0);
}
