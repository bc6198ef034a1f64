#include "image/image.h"

#include "base/mem.h"
#include "base/strv.h"

static void config_done(ImageConfig *config)
{
        strv_free(config->environment);
        strv_free(config->entrypoint);
        strv_free(config->command);
        free(config->user);
        free(config->working_dir);
        strv_free(config->volumes);
        strv_free(config->exposed_ports);
        free(config->stop_signal);
        strv_free(config->labels);
        strv_free(config->healthcheck.test);
}

void image_free(Image *image)
{
        if (!image)
                return;
        free(image->id);
        free(image->reference);
        strv_free(image->names);
        strv_free(image->digests);
        free(image->source_line);
        free(image->platform);
        free(image->libc);
        strv_free(image->layers);
        for (size_t i = 0; i < image->n_binds; i++) {
                free(image->binds[i].source);
                free(image->binds[i].target);
        }
        free(image->binds);
        config_done(&image->config);
        free(image);
}
