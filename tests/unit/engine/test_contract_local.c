/* The contract on real containers: needs root, an OCI runtime, conmon and PostgreSQL's packages (for an image). */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "contract.h"
#include "engine/local/local.h"

#define SKIPPED 77

static const char *image_of_this_machine(void)
{
        static char reference[32];

        for (int major = 18; major >= 13; major--) {
                snprintf(reference, sizeof(reference), "/usr/lib/postgresql/%d", major);
                if (fs_exists(reference)) {
                        snprintf(reference, sizeof(reference), "postgres:%d", major);
                        return reference;
                }
        }
        return NULL;
}

int main(void)
{
        _cleanup_free_ char *self = path_of_self(), *tests = path_dirname(self), *build = path_clean(tests, "../../..");
        char folder[] = "/tmp/berth-contract-XXXXXX", *const command[] = { (char *)"sleep", (char *)"1000", NULL };
        char *const ending[] = { (char *)"sh", (char *)"-c", (char *)"echo bye; exit 7", NULL };
        _cleanup_(layout_freep) Layout *layout = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *data = NULL, *run = NULL, *mounted = NULL;
        const char *image = image_of_this_machine();
        int r;

        if (geteuid() != 0 || !image)
                return SKIPPED;
        if (unshare(CLONE_NEWNET) < 0 || !mkdtemp(folder))
                return 1;
        setenv("BERTH_DATA_DIR", data = path_join(folder, "data"), 1);
        setenv("BERTH_RUN_DIR", run = path_join(folder, "run"), 1);
        setenv("BERTH_LIBEXEC_DIR", build, 0);
        layout = layout_create();
        if (local_engine_create(layout, &engine, &error) < 0)
                return 1;
        if (engine->operations->probe(engine, &error) < 0) {
                fprintf(stderr, "skipped: %s\n", error->message);
                r = SKIPPED;
        } else {
                contract = (ContractSetup){ .engine = engine, .image = image, .command = command, .ending = ending };
                r = contract_run("local");
        }
        mounted = path_join(run, "projects");
        umount2(mounted, MNT_DETACH);
        if (fs_remove_tree(AT_FDCWD, folder, &error) < 0)
                fprintf(stderr, "%s\n", error->message);
        return r;
}
