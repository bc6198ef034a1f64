#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/attachment.h"
#include "engine/local/hosts.h"

static char *container_hostname(const Attachment *attachment)
{
        return attachment->spec->hostname ? xstrdup(attachment->spec->hostname) : xstrndup(attachment->id, 12);
}

char *attachment_hosts_head(const Attachment *attachment)
{
        _cleanup_free_ char *hostname = container_hostname(attachment);
        _cleanup_strv_ char **addresses = NULL;
        HostsSelf self = { .hostname = hostname,
                           .domainname = attachment->spec->domainname,
                           .extra_hosts = attachment->spec->extra_hosts };

        for (size_t i = 0; i < attachment->n_networks; i++) {
                strv_add(&addresses, attachment->endpoints[i]->ipv4);
                if (attachment->endpoints[i]->ipv6)
                        strv_add(&addresses, attachment->endpoints[i]->ipv6);
        }
        if (attachment->n_networks > 0)
                self.gateway = attachment->records[0]->gateway;
        else if (attachment_has_mode(attachment, "host"))
                self.gateway = "127.0.0.1";
        self.addresses = addresses;
        return hosts_head(&self);
}

static int write_file(const Attachment *attachment, const char *name, const char *text, Error **err)
{
        _cleanup_free_ char *path = path_join(attachment->run_dir, name);
        int r = fs_rewrite_in_place(AT_FDCWD, path, text, strlen(text), 0644, err);

        if (r == 0 && chmod(path, 0644) < 0) /* whatever the umask is: every user of the container reads them */
                return error_set_errno(err, errno, "make \"%s\" readable", path);
        return r;
}

static int write_hosts(const Attachment *attachment, Error **err)
{
        _cleanup_strbuf_ Strbuf host = STRBUF_INIT;
        _cleanup_free_ char *head = NULL;

        if (attachment->n_networks > 0) /* peers are added by the commit */
                return write_file(attachment, "hosts", attachment->endpoints[0]->hosts_head, err);
        if (!attachment_has_mode(attachment, "host") ||
            fs_read_file(AT_FDCWD, "/etc/hosts", 16 * 1024 * 1024, &host, NULL) < 0) {
                head = attachment_hosts_head(attachment);
                return write_file(attachment, "hosts", head, err);
        }
        if (host.length > 0 && host.data[host.length - 1] != '\n')
                strbuf_addc(&host, '\n');
        STRV_FOREACH(entry, attachment->spec->extra_hosts) {
                const char *equals = strchr(*entry, '=');

                if (equals)
                        strbuf_addf(&host, "%s\t%.*s\n", streq(equals + 1, "host-gateway") ? "127.0.0.1" : equals + 1,
                                    (int)(equals - *entry), *entry);
        }
        return write_file(attachment, "hosts", strbuf_text(&host), err);
}

int attachment_write_files(const Attachment *attachment, Error **err)
{
        const ContainerSpec *spec = attachment->spec;
        _cleanup_free_ char *host_text = resolv_read_host(), *hostname = container_hostname(attachment);
        _cleanup_free_ char *line = xasprintf("%s\n", hostname), *resolv = NULL;
        ResolvWish wish = { .servers = spec->dns,
                            .search = spec->dns_search,
                            .options = spec->dns_options,
                            .ipv6 = attachment_wants_ipv6(attachment),
                            .keep_loopback = attachment_has_mode(attachment, "host"),
                            .names_from_hosts = attachment->n_networks > 0 };
        int r;

        resolv = resolv_text(host_text, &wish);
        r = write_file(attachment, "resolv.conf", resolv, err);
        if (r == 0)
                r = write_file(attachment, "hostname", line, err);
        return r < 0 ? r : write_hosts(attachment, err);
}
