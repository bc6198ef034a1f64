#include "postgres/tls_served.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

#define ANSWER_LIMIT_S 10
#define SSL_REQUEST    80877103 /* the protocol's "SSLRequest" */

static int enter_network(pid_t pid, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/ns/net", (int)pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
                return error_set_errno(err, errno, "enter the server's network");
        return 0;
}

static int connect_to(int port, int *ret_fd, Error **err)
{
        const struct sockaddr_in address = { .sin_family = AF_INET,
                                             .sin_port = htons((uint16_t)port),
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return error_set_errno(err, errno, "open a socket");
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
                int r = error_set(err, ERROR_UNAVAILABLE, "no server answers on port %d: %s", port, strerror(errno));
                fs_close(fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/* 'S' or 'N'. */
static int ask_for_tls(int fd, char *ret, Error **err)
{
        const uint32_t request[] = { htonl(8), htonl(SSL_REQUEST) };
        int r = fs_write_all(fd, request, sizeof(request), err);

        if (r == 0 && read(fd, ret, 1) != 1)
                r = error_set(err, ERROR_UNAVAILABLE, "the server does not answer whether it speaks TLS");
        return r;
}

static char *to_pem(X509 *certificate)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data = NULL, *text = NULL;

        if (bio && PEM_write_bio_X509(bio, certificate)) {
                long length = BIO_get_mem_data(bio, &data);
                text = xstrndup(data, (size_t)length);
        }
        BIO_free(bio);
        return text;
}

static int shake_hands(int fd, char **ret_pem, Error **err)
{
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL *ssl = context ? SSL_new(context) : NULL;
        X509 *certificate = NULL;
        int r = 0;

        if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1)
                certificate = SSL_get1_peer_certificate(ssl);
        if (certificate)
                *ret_pem = to_pem(certificate);
        if (!*ret_pem)
                r = error_set(err, ERROR_FAILED, "the server offers TLS, and the handshake fails");
        X509_free(certificate);
        SSL_free(ssl);
        SSL_CTX_free(context);
        return r;
}

int tls_look_served(pid_t pid, int port, char **ret_pem, Error **err)
{
        _cleanup_close_ int fd = -1;
        char answer = 0;
        int r = enter_network(pid, err);

        *ret_pem = NULL;
        if (r == 0)
                r = connect_to(port, &fd, err);
        if (r == 0)
                r = ask_for_tls(fd, &answer, err);
        return r < 0 || answer != 'S' ? r : shake_hands(fd, ret_pem, err);
}

static X509 *read_first(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

        BIO_free(bio);
        return certificate;
}

bool tls_same_certificate(const char *one_pem, const char *other_pem)
{
        X509 *one = read_first(one_pem), *other = read_first(other_pem);
        bool same = one && other && X509_cmp(one, other) == 0;

        X509_free(one);
        X509_free(other);
        return same;
}
