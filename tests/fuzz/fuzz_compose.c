/* The whole loader: text in, model or error out. The first line of the input may hold variables for interpolation
 * ("#A=1 B=2"). A model must print, and what is printed as YAML must load again or be refused, never crash. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "check_project.h"
#include "fuzz.h"

static char folder[] = "/tmp/berth-fuzz-compose-XXXXXX";

static void remove_folder(void)
{
        fs_remove_tree(AT_FDCWD, folder, NULL);
}

static char **variables_of(const char *text)
{
        char **variables = NULL;

        if (*text == '#') {
                _cleanup_free_ char *line = xstrndup(text + 1, strcspn(text, "\n") - 1);

                variables = strv_split(line, ' ');
        }
        return variables;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static bool ready;
        _cleanup_free_ char *text = xstrndup((const char *)data, size), *path = NULL;
        _cleanup_strv_ char **variables = variables_of(text), **files = NULL;
        LoadOptions options = { .environment = variables, .project_name = "fuzz", .working_dir = folder };

        if (!ready) {
                if (!mkdtemp(folder))
                        abort();
                atexit(remove_folder);
                ready = true;
        }
        path = path_join(folder, "compose.yaml");
        strv_add(&files, path);
        options.files = files;
        {
                _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                if (fd < 0 || fs_write_all(fd, data, size, NULL) < 0)
                        abort();
        }
        for (int i = 0; i < 2; i++) {
                _cleanup_(project_freep) Project *project = NULL;
                _cleanup_error_ Error *error = NULL;

                options.no_interpolate = i == 1;
                if (project_load(&options, &project, &error) >= 0)
                        check_project(project);
                else if (!error)
                        abort();
        }
        return 0;
}
