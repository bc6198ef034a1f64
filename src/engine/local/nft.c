#include "engine/local/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"

#define NFT_TIMEOUT_MS 120000 /* the first call may load the kernel's modules on a slow machine */
#define REAPER_STACK   (64 * 1024)
#define NEW_GENERATION (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)

/* Hears of new generations of rules, and of nothing else; -1 where that is not possible: then we wait for nft's end. */
static int open_generations(void)
{
        struct sock_filter program[] = {
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NEW_GENERATION), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        struct sock_fprog filter = { .len = ARRAY_SIZE(program), .filter = program };
        struct sockaddr_nl name = { .nl_family = AF_NETLINK };
        int group = NFNLGRP_NFTABLES,
            fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
                        bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
                        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0))
                fd = fs_close(fd);
        return fd;
}

static pid_t generation_author(const struct nlmsghdr *header)
{
        size_t offset = NLMSG_LENGTH(sizeof(struct nfgenmsg));

        while (header->nlmsg_type == NEW_GENERATION && offset + sizeof(struct nlattr) <= header->nlmsg_len) {
                const struct nlattr *attribute = (const void *)((const char *)header + offset);
                uint32_t value;

                if (attribute->nla_len < sizeof(*attribute))
                        break;
                if ((attribute->nla_type & NLA_TYPE_MASK) == NFTA_GEN_PROC_PID) {
                        memcpy(&value, attribute + 1, sizeof(value));
                        return (pid_t)ntohl(value);
                }
                offset += NLA_ALIGN(attribute->nla_len);
        }
        return 0;
}

/* Whether the process has made a generation. */
static bool has_committed(int generations, pid_t pid)
{
        union {
                struct nlmsghdr header;
                char bytes[4096];
        } reply;
        ssize_t size;

        while ((size = recv(generations, &reply, sizeof(reply), MSG_DONTWAIT)) > 0) {
                struct nlmsghdr *header = &reply.header;

                for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size))
                        if (generation_author(header) == pid)
                                return true;
        }
        return false;
}

typedef struct Remains {
        Process process;
        int generations; /* closing such a socket waits as well */
} Remains;

static void *reap(void *argument)
{
        Remains *remains = argument;
        int status;

        (void)process_wait(&remains->process, -1, &status, NULL);
        fs_close(remains->generations);
        free(remains);
        return NULL;
}

/* Somebody must wait for it; not we. */
static void leave_to_reaper(const Process *process, int generations)
{
        Remains remains = { *process, generations }, *copy = xmemdup(&remains, sizeof(remains));
        pthread_attr_t attributes;
        pthread_t thread;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, REAPER_STACK);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attributes, reap, copy) != 0)
                reap(copy);
        pthread_attr_destroy(&attributes);
}

static int judge(Process *process, int errors, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int status, r = process_wait(process, -1, &status, err);

        if (r < 0 || status == 0)
                return r;
        if (lseek(errors, 0, SEEK_SET) == 0)
                (void)fs_read_fd(errors, 65536, &text, NULL);
        return error_set(err, ERROR_FAILED, "nft ended with status %d: %.*s", status,
                         (int)strcspn(strbuf_text(&text), "\n"), strbuf_text(&text));
}

static int await(Process *process, int *generations, int errors, Error **err)
{
        int64_t deadline_ns = clock_monotonic_ns() + NFT_TIMEOUT_MS * NSEC_PER_MSEC;

        for (;;) {
                struct pollfd pollers[] = { { .fd = process->pidfd, .events = POLLIN },
                                            { .fd = *generations, .events = POLLIN } };
                int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NSEC_PER_MSEC;

                if (left_ms <= 0) {
                        process_kill(process);
                        return error_set(err, ERROR_TIMEOUT, "nft did not end within %d s", NFT_TIMEOUT_MS / 1000);
                }
                if (process->pidfd < 0)
                        return judge(process, errors, err);
                if (poll(pollers, ARRAY_SIZE(pollers), (int)left_ms) < 0 && errno != EINTR)
                        return judge(process, errors, err);
                if (*generations >= 0 && has_committed(*generations, process->pid)) {
                        leave_to_reaper(process, TAKE_FD(*generations));
                        return 0;
                }
                if (pollers[0].revents)
                        return judge(process, errors, err);
        }
}

int nft_begin(const char *commands, NftRun *ret, Error **err)
{
        char *argv[] = { (char *)"nft", (char *)"-f", (char *)"-", NULL };
        _cleanup_close_ int input = fs_memory_file("nft", commands, strlen(commands), NULL),
                            errors = fs_memory_file("errors", NULL, 0, NULL), generations = open_generations();
        ProcessSpec spec = PROCESS_SPEC_INIT;
        NftRun run = NFT_RUN_INIT;
        int r;

        if (input < 0 || errors < 0)
                return error_set_errno(err, errno, "prepare to start nft");
        spec.argv = argv;
        spec.stdin_fd = input;
        spec.stderr_fd = errors;
        r = process_spawn(&spec, &run.process, err);
        if (r < 0)
                return r == -ERROR_UNAVAILABLE ? error_hint(err, r, "Install the package nftables.") : r;
        run.errors = TAKE_FD(errors);
        run.generations = TAKE_FD(generations);
        run.running = true;
        *ret = run;
        return 0;
}

int nft_finish(NftRun *run, Error **err)
{
        int r = run->running ? await(&run->process, &run->generations, run->errors, err) : 0;

        run->generations = fs_close(run->generations);
        run->errors = fs_close(run->errors);
        run->running = false;
        return r;
}
