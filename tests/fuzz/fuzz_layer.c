/* Layers: whatever they hold, nothing outside their folder changes. Needs root for owners and devices. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "fuzz.h"
#include "image/unpack.h"

static char outer[] = "/tmp/berth-fuzz-layer-XXXXXX";

static void remove_outer(void)
{
        fs_remove_tree(AT_FDCWD, outer, NULL);
}

static void set_up(void)
{
        _cleanup_free_ char *victim = NULL;

        if (!mkdtemp(outer))
                abort();
        atexit(remove_outer);
        victim = path_join(outer, "victim");
        if (fs_write_file(AT_FDCWD, victim, "precious", 8, 0600, NULL) < 0)
                abort();
}

static void check_outside(void)
{
        _cleanup_free_ char *victim = path_join(outer, "victim");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **names = NULL;
        struct stat status;

        fs_list_directory(AT_FDCWD, outer, &names, NULL);
        if (strv_length(names) != 2 || fs_read_file(AT_FDCWD, victim, 100, &text, NULL) < 0 ||
            !streq(strbuf_text(&text), "precious") || stat(victim, &status) < 0 || status.st_mode != (S_IFREG | 0600) ||
            status.st_nlink != 1 || status.st_uid != geteuid())
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *root = NULL;
        _cleanup_close_ int fd = memfd_create("layer", MFD_CLOEXEC), root_fd = -1;
        UnpackOptions options = { 0 };
        UnpackResult result;

        if (endswith(outer, "XXXXXX"))
                set_up();
        root = path_join(outer, "root");
        if (fs_write_all(fd, data, size, NULL) < 0 || mkdir(root, 0755) < 0)
                abort();
        lseek(fd, 0, SEEK_SET);
        root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        layer_unpack(fd, root_fd, &options, &result, NULL);
        check_outside();
        if (fs_remove_tree(AT_FDCWD, root, NULL) < 0)
                abort();
        return 0;
}
