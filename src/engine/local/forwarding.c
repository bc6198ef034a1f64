#include "engine/local/forwarding.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/sysctl.h"

static int note(const Layout *layout, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "forwarding"), *boot_id = layout_boot_id();

        return fs_rewrite_in_place(AT_FDCWD, path, boot_id, strlen(boot_id), 0600, err);
}

bool forwarding_is_ours(const Layout *layout)
{
        _cleanup_free_ char *path = layout_run(layout, "forwarding"), *boot_id = layout_boot_id();
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, path, 256, &text, NULL) == 0 && streq(strbuf_text(&text), boot_id);
}

/* With forwarding on, router advertisements count no longer; a machine that lives by them must go on hearing them. */
static void keep_router_advertisements(void)
{
        _cleanup_strv_ char **interfaces = NULL;

        (void)fs_list_directory(AT_FDCWD, "/proc/sys/net/ipv6/conf", &interfaces, NULL);
        STRV_FOREACH(interface, interfaces) {
                _cleanup_free_ char *name = xasprintf("net/ipv6/conf/%s/accept_ra", *interface);
                _cleanup_free_ char *accepts = sysctl_read(name);

                if (streq_ptr(accepts, "1") && !streq(*interface, "all"))
                        (void)sysctl_write(name, "2", NULL);
        }
}

static int enable(const Layout *layout, const char *setting, Error **err)
{
        _cleanup_free_ char *present = sysctl_read(setting);
        int r;

        if (streq_ptr(present, "1"))
                return 0;
        r = note(layout, err); /* first: after a crash in between we are too careful, not too careless */
        return r < 0 ? r : sysctl_write(setting, "1", err);
}

int forwarding_enable(const Layout *layout, bool ipv6, Error **err)
{
        _cleanup_free_ char *present = NULL;
        int r = enable(layout, "net/ipv4/ip_forward", err);

        if (r < 0 || !ipv6)
                return r;
        present = sysctl_read("net/ipv6/conf/all/forwarding");
        if (!streq_ptr(present, "1"))
                keep_router_advertisements();
        return enable(layout, "net/ipv6/conf/all/forwarding", err);
}
