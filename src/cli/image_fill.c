/* image pull, load, import: done by a worker, whose progress is shown. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/image.h"
#include "cli/output/progress.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "image/pull.h"
#include "image/reference.h"
#include "state/document.h"

typedef struct Shown {
        Progress *progress;
        const char *name;              /* of what is worked on */
        const char *state, *end_state; /* "pulling", "pulled" */
        int64_t start_ns;
} Shown;

static void show(Shown *shown, const char *state, const char *text)
{
        json_t *event =
                json_pack("{s:s, s:s, s:s, s:s, s:I}", "event", "resource", "kind", "image", "name", shown->name,
                          "state", state, "ms", (json_int_t)((clock_monotonic_ns() - shown->start_ns) / NSEC_PER_MSEC));

        json_set_string(event, "text", text);
        progress_event(shown->progress, event);
        json_decref(event);
}

static void show_status(void *context, const char *text)
{
        Shown *shown = context;

        show(shown, shown->state, text);
        if (progress_is_live(shown->progress))
                progress_tick(shown->progress);
}

static void show_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
        Shown *shown = context;
        _cleanup_json_ json_t *event =
                json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "event", "bytes", "kind", "image", "name", shown->name,
                          "what", what, "done", (json_int_t)done, "total", (json_int_t)total);

        progress_event(shown->progress, event);
        if (progress_is_live(shown->progress))
                progress_tick(shown->progress);
}

static void show_warning(void *context, const char *text)
{
        report_warning(text);
}

static ImageProgress shown_start(Shown *shown, const Invocation *invocation, const char *name, const char *title,
                                 const char *state, const char *end_state)
{
        ProgressMode mode =
                invocation_flag(invocation, "quiet") ? PROGRESS_QUIET : invocation_progress_mode(invocation);

        *shown = (Shown){
                .progress = progress_create(mode, title),
                .name = name,
                .state = state,
                .end_state = end_state,
                .start_ns = clock_monotonic_ns(),
        };
        show(shown, state, NULL);
        return (ImageProgress){
                .context = shown,
                .status = show_status,
                .bytes = show_bytes,
                .warning = show_warning,
                .cancel_fd = -1,
        };
}

static void shown_end(Shown *shown, bool success)
{
        show(shown, success ? shown->end_state : "failed", NULL);
        progress_finish(shown->progress, success);
        progress_free(shown->progress);
}

/* ---- pull ---- */

static int pull_one(const Invocation *invocation, const char *reference, ImagePolicy policy, Error **err)
{
        const char *platform = invocation_text(invocation, "platform", NULL);
        _cleanup_image_ Image *image = NULL;
        Shown shown;
        ImageProgress progress = shown_start(&shown, invocation, reference, "Pulling", "pulling", "pulled");
        int r = image_pull(invocation->layout, reference, policy, platform, &progress, err);

        shown_end(&shown, r == 0);
        if (r == 0)
                r = image_find(invocation->layout, reference, policy, &image, err);
        if (r == 0)
                printf("%s\n", image->id);
        return r;
}

static int run_pull(Invocation *invocation, Error **err)
{
        ImagePolicy policy = IMAGES_REGISTRY;

        image_policy_from_name(invocation_text(invocation, "images", "registry"), &policy);
        STRV_FOREACH(reference, invocation->arguments) {
                int r = pull_one(invocation, *reference, policy, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- load ---- */

static int run_load(Invocation *invocation, Error **err)
{
        const char *source = invocation_text(invocation, "input", NULL), *name;
        char *const *rest = invocation->arguments;
        _cleanup_strv_ char **ids = NULL;
        ImageProgress progress;
        Shown shown;
        int r;

        if (!source && rest && *rest)
                source = *rest++;
        if (!source && isatty(STDIN_FILENO))
                return error_set(err, ERROR_USAGE, "no archive is named, and standard input is a terminal");
        source = source ? source : "-";
        name = rest && *rest ? *rest : NULL;
        progress = shown_start(&shown, invocation, source, "Loading", "creating", "created");
        r = image_load_by_worker(invocation->layout, source, name, invocation_text(invocation, "platform", NULL),
                                 STDIN_FILENO, &progress, &ids, err);
        shown_end(&shown, r == 0);
        STRV_FOREACH(id, ids) {
                _cleanup_image_ Image *image = NULL;
                _cleanup_free_ char *familiar = NULL;

                if (image_find_made(invocation->layout, *id, &image, NULL) == 0 && image->names)
                        familiar = reference_familiar(image->names[0]);
                printf("Loaded image%s: %s\n", familiar ? "" : " ID", familiar ? familiar : *id);
        }
        return r;
}

/* ---- import ---- */

static int run_import(Invocation *invocation, Error **err)
{
        const char *source = invocation->arguments[0], *name = invocation->arguments[1];
        _cleanup_strv_ char **changes = invocation_list(invocation, "change");
        _cleanup_free_ char *id = NULL;
        Shown shown;
        ImageProgress progress = shown_start(&shown, invocation, source, "Importing", "creating", "created");
        int r = image_import_by_worker(invocation->layout, source, name, invocation_text(invocation, "platform", NULL),
                                       changes, STDIN_FILENO, &progress, &id, err);

        shown_end(&shown, r == 0);
        if (r == 0)
                printf("%s\n", id);
        return r;
}

static const Option pull_options[] = {
        { "images", 0, OPTION_CHOICE, "WHERE",
          "Where from: auto takes this machine's packages where they serve "
          "(default: registry)",
          "auto|host|registry" },
        { "platform", 0, OPTION_TEXT, "PLATFORM", "For example linux/arm64" },
        { "quiet", 'q', OPTION_FLAG, NULL, "No progress" },
        { NULL },
};
static const Option load_options[] = {
        { "input", 'i', OPTION_TEXT, "FILE", "The archive, as an option", .complete = COMPLETE_FILES },
        { "platform", 0, OPTION_TEXT, "PLATFORM", "Which one of several, for example linux/arm64" },
        { "quiet", 'q', OPTION_FLAG, NULL, "No progress" },
        { NULL },
};
static const Option import_options[] = {
        { "change", 'c', OPTION_TEXT, "INSTRUCTION",
          "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or "
          "WORKDIR with its value",
          .flags = OPTION_REPEATABLE },
        { "platform", 0, OPTION_TEXT, "PLATFORM", "What the programs in it run on" },
        { "quiet", 'q', OPTION_FLAG, NULL, "No progress" },
        { NULL },
};

const Command command_image_pull = {
        .name = "image pull",
        .summary = "Pull images from a registry",
        .arguments = "NAME...",
        .details =
                "Mirrors, credentials and TLS settings are those of skopeo: registries.conf in Berth's configuration "
                "folder "
                "or /etc/containers, auth.json, ~/.docker/config.json. Only layers that are not there yet are fetched.",
        .examples = "berth image pull postgres:16\nberth image pull --platform linux/arm64 ghcr.io/me/app:1.2",
        .flags = COMMAND_NEEDS_ROOT,
        .options = pull_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_pull,
};
const Command command_image_load = {
        .name = "image load",
        .summary = "Load images from an archive, a folder or a running Docker",
        .arguments = "[FILE|FOLDER|docker-daemon:NAME] [NAME]",
        .details = "Understands what `docker save` writes and OCI layouts, as a tar archive (also compressed), a "
                   "folder or on standard input. NAME is given to the image where it is the only one.",
        .examples = "berth image load image.tar\nberth image load docker-daemon:myapp:latest\ndocker save myapp | "
                    "berth image load",
        .flags = COMMAND_NEEDS_ROOT,
        .options = load_options,
        .max_arguments = 2,
        .function = run_load,
        .complete = COMPLETE_FILES,
};
const Command command_image_import = {
        .name = "image import",
        .summary = "Make an image of a root file system",
        .arguments = "FILE|- [NAME]",
        .details = "FILE is a tar archive, also compressed. The image has that one layer.",
        .examples = "berth image import rootfs.tar.zst myapp:1 --change 'CMD [\"/bin/app\"]'",
        .flags = COMMAND_NEEDS_ROOT,
        .options = import_options,
        .min_arguments = 1,
        .max_arguments = 2,
        .function = run_import,
        .complete = COMPLETE_FILES,
};
