/* A build step: generate-documents man DIR | completion DIR | markdown. Never installed. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/documents.h"

static int write_document(const char *folder, const char *name, char *text)
{
        _cleanup_free_ char *path = path_join(folder, name), *owned = text;
        FILE *file = fopen(path, "w");

        if (!file || fputs(owned, file) < 0 || fclose(file) != 0) {
                perror(path);
                return 1;
        }
        return 0;
}

static int write_man_pages(const char *folder)
{
        int failures = write_document(folder, "berth.1", man_page(NULL));

        for (const Command *const *c = commands; *c; c++) {
                _cleanup_free_ char *name = xasprintf("berth-%s.1", (*c)->name);

                if (!((*c)->flags & COMMAND_HIDDEN))
                        failures += write_document(folder, name, man_page(*c));
        }
        return failures > 0;
}

static int write_completions(const char *folder)
{
        return write_document(folder, "berth", completion_script(SHELL_BASH)) +
                       write_document(folder, "_berth", completion_script(SHELL_ZSH)) +
                       write_document(folder, "berth.fish", completion_script(SHELL_FISH)) >
               0;
}

int main(int argc, char **argv)
{
        _cleanup_error_ Error *error = NULL;

        if (argc == 2 && streq(argv[1], "markdown")) {
                _cleanup_free_ char *text = commands_markdown();

                fputs(text, stdout);
                return 0;
        }
        if (argc != 3 || fs_make_directories(argv[2], 0755, &error) < 0) {
                fprintf(stderr, "usage: generate-documents man DIR | completion DIR | markdown\n");
                return 2;
        }
        return streq(argv[1], "man") ? write_man_pages(argv[2]) : write_completions(argv[2]);
}
