/* berth-relay: accepts on sockets that it inherits and hands what comes on to a container, and back.
 *
 *   berth-relay FOLDER ADDRESS PROTOCOL:PORT…
 *
 * FOLDER is the container's and tells people whose relay it is. Descriptor 3 is a pipe: the relay ends when its other end
 * is closed. Descriptors 4, 5, … are bound sockets, one for each PROTOCOL:PORT ("tcp:5432").
 *
 * Its first process ends as soon as the relay is ready. It runs as nobody and holds nothing but its sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"

#define WATCH_FD     3
#define FIRST_SOCKET 4
#define MAX_PORTS    4096
#define NOBODY       65534
#define SPLICE_SIZE  ((size_t)64 * 1024)
#define UDP_IDLE_NS  (INT64_C(60) * NSEC_PER_SEC)
#define UDP_SESSIONS 1024

typedef enum SourceKind { SOURCE_WATCH, SOURCE_LISTENER, SOURCE_DATAGRAMS, SOURCE_STREAM, SOURCE_ANSWERS } SourceKind;

typedef struct Source { /* what an epoll event points to: the first member of what it belongs to */
        SourceKind kind;
        int fd;
        void *owner;
} Source;

typedef struct Service { /* one published port */
        Source source;
        struct sockaddr_in target;
        bool paused; /* out of descriptors: no accept until a connection ends */
} Service;

typedef struct Flow { /* one direction of a connection */
        int pipe[2];
        size_t held;        /* bytes in the pipe */
        bool ended, closed; /* read to its end; end told to the other side */
} Flow;

typedef struct Connection {
        Source client, server;
        Flow forth, back;
        struct Connection *next_dead;
        bool dead;
} Connection;

typedef struct Session { /* one UDP peer */
        Source source;
        Service *service;
        struct sockaddr_in6 peer;
        int64_t used_ns;
        struct Session *next;
} Session;

typedef struct Relay {
        int epoll;
        Service *services;
        size_t n_services;
        Connection *dead;
        Session *sessions;
        size_t n_sessions;
        char *buffer; /* for datagrams */
} Relay;

static bool watch(Relay *relay, Source *source, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = source };

        return epoll_ctl(relay->epoll, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

/* ---- TCP ---- */

static void flow_close(Flow *flow)
{
        fs_close(flow->pipe[0]);
        fs_close(flow->pipe[1]);
}

static void connection_end(Relay *relay, Connection *connection)
{
        if (connection->dead)
                return;
        connection->dead = true;
        fs_close(connection->client.fd);
        fs_close(connection->server.fd);
        flow_close(&connection->forth);
        flow_close(&connection->back);
        connection->next_dead = relay->dead; /* other events of this round may still point to it */
        relay->dead = connection;
}

static void resume_services(Relay *relay)
{
        for (size_t i = 0; i < relay->n_services; i++) {
                Service *service = &relay->services[i];

                if (service->paused)
                        service->paused = !watch(relay, &service->source, EPOLLIN);
        }
}

static void bury(Relay *relay)
{
        bool any = relay->dead;

        while (relay->dead) {
                Connection *next = relay->dead->next_dead;

                free(relay->dead);
                relay->dead = next;
        }
        if (any)
                resume_services(relay);
}

/* Moves what can be moved now; false where the connection is broken. */
static bool flow_move(Flow *flow, int from, int to)
{
        for (;;) {
                bool progress = false;

                if (!flow->ended && flow->held == 0) {
                        ssize_t n =
                                splice(from, NULL, flow->pipe[1], NULL, SPLICE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

                        if (n < 0 && errno != EAGAIN && errno != EINTR)
                                return errno == ENOTCONN;
                        flow->ended = n == 0;
                        flow->held = n > 0 ? (size_t)n : 0;
                        progress = n > 0;
                }
                if (flow->held > 0) {
                        ssize_t n =
                                splice(flow->pipe[0], NULL, to, NULL, flow->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

                        if (n < 0 && errno != EAGAIN && errno != EINTR)
                                return errno == ENOTCONN;
                        flow->held -= n > 0 ? (size_t)n : 0;
                        progress = n > 0;
                }
                if (flow->ended && flow->held == 0 && !flow->closed) {
                        shutdown(to, SHUT_WR);
                        flow->closed = true;
                }
                if (!progress)
                        return true;
        }
}

static void connection_serve(Relay *relay, Connection *connection, uint32_t events)
{
        if (connection->dead)
                return;
        if ((events & EPOLLERR) || !flow_move(&connection->forth, connection->client.fd, connection->server.fd) ||
            !flow_move(&connection->back, connection->server.fd, connection->client.fd) ||
            (connection->forth.closed && connection->back.closed))
                connection_end(relay, connection);
}

static int connect_target(const Service *service)
{
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(fd, (const struct sockaddr *)&service->target, sizeof(service->target)) < 0 && errno != EINPROGRESS)
                return fs_close(fd);
        return fd;
}

static void connection_begin(Relay *relay, const Service *service, int client)
{
        Connection *connection = xnew(Connection);
        int one = 1;
        bool fine;

        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        connection->forth.pipe[0] = connection->forth.pipe[1] = -1;
        connection->back.pipe[0] = connection->back.pipe[1] = -1;
        connection->client = (Source){ SOURCE_STREAM, client, connection };
        connection->server = (Source){ SOURCE_STREAM, connect_target(service), connection };
        fine = connection->server.fd >= 0 && pipe2(connection->forth.pipe, O_CLOEXEC | O_NONBLOCK) == 0 &&
               pipe2(connection->back.pipe, O_CLOEXEC | O_NONBLOCK) == 0 &&
               watch(relay, &connection->client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) &&
               watch(relay, &connection->server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (!fine)
                connection_end(relay, connection);
}

static void service_accept(Relay *relay, Service *service)
{
        int client = accept4(service->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (client >= 0)
                connection_begin(relay, service, client);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                epoll_ctl(relay->epoll, EPOLL_CTL_DEL, service->source.fd, NULL);
                service->paused = true;
        }
}

/* ---- UDP ---- */

static void sessions_expire(Relay *relay, int64_t now_ns)
{
        Session **place = &relay->sessions;

        while (*place) {
                Session *session = *place;

                if (session->used_ns + UDP_IDLE_NS > now_ns) {
                        place = &session->next;
                        continue;
                }
                *place = session->next;
                fs_close(session->source.fd);
                free(session);
                relay->n_sessions--;
        }
}

static Session *session_find(Relay *relay, Service *service, const struct sockaddr_in6 *peer)
{
        for (Session *session = relay->sessions; session; session = session->next)
                if (session->service == service && session->peer.sin6_port == peer->sin6_port &&
                    memcmp(&session->peer.sin6_addr, &peer->sin6_addr, sizeof(peer->sin6_addr)) == 0)
                        return session;
        return NULL;
}

static Session *session_begin(Relay *relay, Service *service, const struct sockaddr_in6 *peer)
{
        int fd = relay->n_sessions < UDP_SESSIONS ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
        Session *session;

        if (fd < 0)
                return NULL;
        session = xnew(Session);
        *session = (Session){ .source = { SOURCE_ANSWERS, fd, session }, .service = service, .peer = *peer };
        if (connect(fd, (const struct sockaddr *)&service->target, sizeof(service->target)) < 0 ||
            !watch(relay, &session->source, EPOLLIN)) {
                fs_close(fd);
                free(session);
                return NULL;
        }
        session->next = relay->sessions;
        relay->sessions = session;
        relay->n_sessions++;
        return session;
}

static void service_datagram(Relay *relay, Service *service)
{
        struct sockaddr_in6 peer = { 0 };
        socklen_t size = sizeof(peer);
        ssize_t n =
                recvfrom(service->source.fd, relay->buffer, SPLICE_SIZE, MSG_DONTWAIT, (struct sockaddr *)&peer, &size);
        Session *session;

        if (n < 0)
                return;
        session = session_find(relay, service, &peer);
        if (!session)
                session = session_begin(relay, service, &peer);
        if (!session)
                return;
        session->used_ns = clock_monotonic_ns();
        (void)!send(session->source.fd, relay->buffer, (size_t)n, MSG_DONTWAIT);
}

static void session_answer(Relay *relay, Session *session)
{
        ssize_t n = recv(session->source.fd, relay->buffer, SPLICE_SIZE, MSG_DONTWAIT);

        if (n < 0)
                return;
        session->used_ns = clock_monotonic_ns();
        sendto(session->service->source.fd, relay->buffer, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&session->peer,
               sizeof(session->peer));
}

/* ---- the whole ---- */

static bool serve(Relay *relay, Source *source, uint32_t events)
{
        switch (source->kind) {
        case SOURCE_WATCH:
                return false; /* nobody writes: it is the end of the pipe */
        case SOURCE_LISTENER:
                service_accept(relay, source->owner);
                break;
        case SOURCE_DATAGRAMS:
                service_datagram(relay, source->owner);
                break;
        case SOURCE_STREAM:
                connection_serve(relay, source->owner, events);
                break;
        case SOURCE_ANSWERS:
                session_answer(relay, source->owner);
                break;
        }
        return true;
}

static void run(Relay *relay)
{
        struct epoll_event events[32];

        for (;;) {
                int n = epoll_wait(relay->epoll, events, ARRAY_SIZE(events), relay->sessions ? 10000 : -1);

                for (int i = 0; i < n; i++)
                        if (!serve(relay, events[i].data.ptr, events[i].events))
                                return;
                bury(relay);
                /* Between rounds: no event points to what is freed. */
                if (relay->sessions)
                        sessions_expire(relay, clock_monotonic_ns());
        }
}

static bool parse_service(const char *text, const char *address, Service *ret)
{
        const char *colon = strchr(text, ':');
        bool udp = startswith(text, "udp:");
        int64_t port;

        ret->target.sin_family = AF_INET;
        if (!colon || !parse_int64(colon + 1, 1, 65535, &port) ||
            inet_pton(AF_INET, address, &ret->target.sin_addr) != 1)
                return false;
        ret->target.sin_port = htons((uint16_t)port);
        ret->source.kind = udp ? SOURCE_DATAGRAMS : SOURCE_LISTENER;
        ret->source.owner = ret;
        return true;
}

static bool prepare(Relay *relay, Source *end, int argc, char **argv)
{
        relay->epoll = epoll_create1(EPOLL_CLOEXEC);
        relay->n_services = (size_t)argc - 3;
        relay->services = xnew_array(Service, relay->n_services);
        if (relay->epoll < 0 || !watch(relay, end, EPOLLIN | EPOLLHUP))
                return false;
        for (size_t i = 0; i < relay->n_services; i++) {
                Service *service = &relay->services[i];

                service->source.fd = FIRST_SOCKET + (int)i;
                if (!parse_service(argv[i + 3], argv[2], service) || !watch(relay, &service->source, EPOLLIN))
                        return false;
                if (service->source.kind == SOURCE_DATAGRAMS && !relay->buffer)
                        relay->buffer = xmalloc(SPLICE_SIZE);
                fcntl(service->source.fd, F_SETFL, fcntl(service->source.fd, F_GETFL) | O_NONBLOCK);
        }
        return true;
}

/* It needs no rights: its sockets are bound. */
static void drop_rights(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
                _exit(1);
}

int main(int argc, char **argv)
{
        Source end = { SOURCE_WATCH, WATCH_FD, NULL };
        Relay relay = { 0 };
        pid_t pid;
        int null;

        if (argc < 4 || argc > MAX_PORTS || !prepare(&relay, &end, argc, argv)) {
                fprintf(stderr, "berth-relay: started by berth alone, with sockets to serve\n");
                return 2;
        }
        pid = fork();
        if (pid != 0)
                _exit(pid < 0);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; fd < 3; fd++)
                dup2(null, fd);
        fs_close(null);
        (void)!chdir("/");
        drop_rights();
        run(&relay);
        _exit(0); /* with all that it holds */
}
