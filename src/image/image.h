/* An image as the engine needs it: its configuration and how its root file system is put together. */
#ifndef BERTH_IMAGE_IMAGE_H
#define BERTH_IMAGE_IMAGE_H

#include "base/error.h"

typedef enum ImageSource {
        IMAGE_SOURCE_STORE,    /* pulled, loaded or imported earlier */
        IMAGE_SOURCE_HOST,     /* made of this machine's packages */
        IMAGE_SOURCE_REGISTRY, /* pulled just now */
} ImageSource;

typedef struct ImageHealthcheck {
        char **test; /* CMD, CMD-SHELL or NONE first; NULL: none */
        int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries; /* 0: default */
} ImageHealthcheck;

typedef struct ImageConfig { /* OCI image-spec config, the parts that matter at run time */
        char **environment;  /* KEY=VALUE */
        char **entrypoint, **command;
        char *user;           /* "" or NULL: root */
        char *working_dir;    /* NULL: / */
        char **volumes;       /* targets */
        char **exposed_ports; /* "5432/tcp" */
        char *stop_signal;    /* NULL: SIGTERM */
        char **labels;        /* KEY=VALUE */
        ImageHealthcheck healthcheck;
} ImageConfig;

/* Something bound into the root besides its layers (host images: read-only /usr, …). */
typedef struct ImageBind {
        char *source, *target; /* absolute */
        bool read_only, nosuid;
} ImageBind;

typedef struct Image {
        char *id;        /* "sha256:<hex>": digest of the config; for a host image, of its recipe and packages */
        char *reference; /* as asked for */
        char **names;    /* all names it has in the store */
        char **digests;  /* repository digests, "docker.io/library/x@sha256:…" */
        ImageSource source;
        char *source_line; /* "postgres:15 from this machine's packages (15.18-0+deb12u1)" */
        char *platform;    /* "linux/amd64" */
        char *libc;        /* "glibc 2.36, ICU 72", "musl 1.2.4" or NULL where unknown */
        int64_t created_ns;
        uint64_t size_bytes; /* of its unpacked layers */
        char **layers;       /* absolute folders for overlayfs' lowerdir, topmost first */
        ImageBind *binds;
        size_t n_binds;
        ImageConfig config;
} Image;

void image_free(Image *image);
DEFINE_CLEANUP(Image, image_free);
#define _cleanup_image_ _cleanup_(image_freep)

#endif
