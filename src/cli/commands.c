/* The command table, in the order of the help. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/verbs.h"

const Option global_options[] = {
        { "file", 'f', OPTION_TEXT, "FILE", "Compose file; several are merged in order, \"-\" is standard input",
          .flags = OPTION_REPEATABLE, .complete = COMPLETE_FILES },
        { "project-name", 'p', OPTION_TEXT, "NAME", "Name of the project", .complete = COMPLETE_PROJECTS },
        { "project-directory", 0, OPTION_TEXT, "DIR",
          "Folder that relative paths start from (default: that of the first compose file)",
          .complete = COMPLETE_FOLDERS },
        { "env-file", 0, OPTION_TEXT, "FILE", "Variables for the compose file, in place of .env",
          .flags = OPTION_REPEATABLE, .complete = COMPLETE_FILES },
        { "profile", 0, OPTION_TEXT, "NAME", "Profile to enable", .flags = OPTION_REPEATABLE },
        { "engine", 0, OPTION_CHOICE, "ENGINE", "What runs the containers", "local|docker|kubernetes" },
        { "progress", 0, OPTION_CHOICE, "KIND", "How progress is shown", "auto|tty|plain|json|quiet" },
        { "no-color", 0, OPTION_FLAG, NULL, "No colour" },
        { "ansi", 0, OPTION_CHOICE, "WHEN", "When to use colour", "auto|always|never", .flags = OPTION_HIDDEN },
        { "all-resources", 0, OPTION_FLAG, NULL, "Keep networks, volumes, secrets and configs that no service uses",
          .flags = OPTION_HIDDEN },
        { "compatibility", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "parallel", 0, OPTION_NUMBER, "N", "", .flags = OPTION_IGNORED },
        { "verbose", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { NULL },
};

const Command *const commands[] = {
        &command_init,
        &command_up,
        &command_down,
        &command_start,
        &command_stop,
        &command_restart,
        &command_create,
        &command_run,
        &command_exec,
        &command_attach,
        &command_psql,
        &command_pull,
        &command_scale,
        &command_pause,
        &command_unpause,
        &command_kill,
        &command_rm,
        &command_wait,
        &command_cp,
        &command_config,
        &command_ps,
        &command_logs,
        &command_top,
        &command_stats,
        &command_events,
        &command_port,
        &command_images,
        &command_volumes,
        &command_inspect,
        &command_schedule,
        &command_ls,
        &command_tune,
        &command_image,
        &command_migrate,
        &command_seed,
        &command_upgrade,
        &command_secret,
        &command_secure,
        &command_volume,
        &command_network,
        &command_system,
        &command_enable,
        &command_disable,
        &command_version,
        &command_help,
        &command_completion,
        &command_complete,
        &guide_commands[0],
        &guide_commands[1],
        &guide_commands[2],
        &guide_commands[3],
        &guide_commands[4],
        &guide_commands[5],
        &guide_commands[6],
        &guide_commands[7],
        &guide_commands[8],
        &guide_commands[9],
        &guide_commands[10],
        &guide_commands[11],
        NULL,
};

const ForeignCommand foreign_commands[] = {
        { "build", "Berth does not build images",
          "Build with docker or podman, then \"berth image load docker-daemon:NAME\"." },
        { "push", "Berth does not push images", "skopeo copies an image to a registry." },
        { "watch", "Berth does not rebuild on changes", "\"berth up -d\" again applies what changed." },
        { "commit", "Berth does not make images of containers",
          "\"berth image import\" takes a root file system as a tar archive." },
        { "publish", "Berth does not publish compose files", "\"berth config\" prints the canonical file." },
        { "compose", "say it without \"compose\"", "For example \"berth up -d\"." },
        { NULL },
};

const ForeignCommand *foreign_command_find(const char *word)
{
        for (const ForeignCommand *foreign = foreign_commands; foreign->word; foreign++)
                if (streq(foreign->word, word))
                        return foreign;
        return NULL;
}
