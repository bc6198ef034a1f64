/* The loader over a folder of several files: discovery, .env, overrides, extends, include, env_file. The input is a row
 * of files, each behind a line "=== PATH". The file "args" holds words: a letter for each option that is on ("i" is
 * --no-interpolate), "f:PATH" for -f, "e:PATH" for --env-file, NAME=VALUE for the environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "check_project.h"
#include "fuzz.h"

#define FILES_MAX 24

static char folder[] = "/tmp/berth-fuzz-project-XXXXXX";

typedef struct Arguments {
        char **files, **env_files, **environment, **profiles;
} Arguments;

static void remove_folder(void)
{
        fs_remove_tree(AT_FDCWD, folder, NULL);
}

static void prepare(void)
{
        static bool ready;
        int nothing;

        if (ready)
                return;
        nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (!mkdtemp(folder) || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
                abort();
        atexit(remove_folder);
        ready = true;
}

static bool is_path(const char *path)
{
        return *path && *path != '/' && strlen(path) < 60 && !strstr(path, "..") &&
               strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == strlen(path) &&
               path[strlen(path) - 1] != '/';
}

static void write_file(const char *name, const char *data, size_t size)
{
        _cleanup_free_ char *path = path_join(folder, name), *parent = path_dirname(path);
        _cleanup_close_ int fd = -1;

        if (fs_make_directories(parent, 0700, NULL) < 0)
                return; /* a file stands in its way */
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0 && fs_write_all(fd, data, size, NULL) < 0)
                abort();
}

static void add_path(char ***list, const char *name)
{
        if (is_path(name))
                strv_take(list, path_join(folder, name));
}

static void read_arguments(const char *text, size_t size, Arguments *arguments, LoadOptions *options)
{
        _cleanup_free_ char *copy = xstrndup(text, size);
        char *rest = NULL;

        for (char *word = strtok_r(copy, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
                if (startswith(word, "f:"))
                        add_path(&arguments->files, word + 2);
                else if (startswith(word, "e:"))
                        add_path(&arguments->env_files, word + 2);
                else if (strchr(word, '='))
                        strv_add(&arguments->environment, word);
                else {
                        options->no_interpolate |= !!strchr(word, 'i');
                        options->no_normalize |= !!strchr(word, 'n');
                        options->no_path_resolution |= !!strchr(word, 'p');
                        options->no_consistency |= !!strchr(word, 'c');
                        options->no_env_resolution |= !!strchr(word, 'e');
                        options->all_resources |= !!strchr(word, 'a');
                        if (strchr(word, '*'))
                                strv_add(&arguments->profiles, "*");
                }
        }
}

static void unpack(const char *text, Arguments *arguments, LoadOptions *options)
{
        const char *at = strstr(text, "=== ");

        for (size_t n = 0; at && n < FILES_MAX; n++) {
                const char *data = at + 4 + strcspn(at + 4, "\n"), *next;
                _cleanup_free_ char *name = xstrndup(at + 4, (size_t)(data - at - 4));

                data += *data == '\n';
                next = strstr(data, "\n=== ");
                at = next ? next + 1 : NULL;
                if (streq(name, "args"))
                        read_arguments(data, at ? (size_t)(at - data) : strlen(data), arguments, options);
                else if (is_path(name))
                        write_file(name, data, at ? (size_t)(at - data) : strlen(data));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = xstrndup((const char *)data, size);
        _cleanup_(project_freep) Project *project = NULL;
        _cleanup_error_ Error *error = NULL;
        Arguments arguments = { 0 };
        LoadOptions options = { .project_name = "fuzz", .working_dir = folder };

        prepare();
        fs_remove_tree(AT_FDCWD, folder, NULL);
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                abort();
        unpack(text, &arguments, &options);
        options.files = arguments.files;
        options.env_files = arguments.env_files;
        options.environment = arguments.environment;
        options.profiles = arguments.profiles;
        if (project_load(&options, &project, &error) >= 0)
                check_project(project);
        else if (!error)
                abort();
        strv_free(arguments.files);
        strv_free(arguments.env_files);
        strv_free(arguments.environment);
        strv_free(arguments.profiles);
        return 0;
}
