/* A build step: generate-documents man DIR | completion SHELL FILE | markdown. Never installed. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/documents.h"

static int write_document(const char *folder, const char *name, char *text)
{
        _cleanup_free_ char *path = *folder ? path_join(folder, name) : xstrdup(name), *owned = text;
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

static int write_completion(const char *shell, const char *path)
{
        static const char *const shells[] = { [SHELL_BASH] = "bash", [SHELL_ZSH] = "zsh", [SHELL_FISH] = "fish" };

        for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
                if (streq(shells[i], shell))
                        return write_document("", path, completion_script((Shell)i));
        return 2;
}

static int usage(void)
{
        fprintf(stderr, "usage: generate-documents man DIR | completion SHELL FILE | markdown\n");
        return 2;
}

int main(int argc, char **argv)
{
        _cleanup_error_ Error *error = NULL;

        if (argc == 2 && streq(argv[1], "markdown")) {
                _cleanup_free_ char *text = commands_markdown();

                fputs(text, stdout);
                return 0;
        }
        if (argc == 4 && streq(argv[1], "completion"))
                return write_completion(argv[2], argv[3]);
        if (argc != 3 || !streq(argv[1], "man") || fs_make_directories(argv[2], 0755, &error) < 0)
                return usage();
        return write_man_pages(argv[2]);
}
