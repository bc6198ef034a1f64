#include "base/macros.h"
#include "worker/job.h"

const JobEntry job_table[] = {
        { "alert", "tell somebody that something failed or works again", job_alert, .folderless = true },
        { "digests", "ask registries for the digests of images", job_digests, .folderless = true },
        { "backup", "take a base backup of a database", job_backup },
        { "certificate", "make, renew or take over a server's or a client's certificate", job_certificate },
        { "backup-remove", "remove a backup", job_backup_remove },
        { "backups", "list backups", job_backups },
        { "import", "make an image of a root file system", job_import },
        { "init", "write a production deployment", job_init },
        { "load", "load images from an archive, a folder or Docker", job_load },
        { "recover", "wait until a restored server has recovered", job_recover },
        { "reflink", "copy a running cluster by sharing its blocks", job_reflink },
        { "release", "take settings and slot out of a cluster", job_release },
        { "repository-copy", "bring backups and log to a copy elsewhere", job_repository_copy },
        { "repository-fetch", "bring backups and log back from a copy elsewhere", job_repository_fetch },
        { "repository-prune", "remove what is not kept any longer", job_repository_prune },
        { "repository-repair", "mend backups from their copy elsewhere, or the copy", job_repository_repair },
        { "repository-verify", "look for damage and gaps in backups", job_repository_verify },
        { "restore", "lay a backup out in a folder", job_restore },
        { "served-certificate", "look at the certificate that a server hands out", job_served_certificate },
        { "restore-plan", "choose a backup for a point in time", job_restore_plan },
        { "backup-key", "make a key for encrypted copies, or show it", job_backup_key },
        { "offsite", "bring the copy elsewhere of a service up to date", job_offsite },
        { "offsite-claim", "go on with a copy elsewhere that another installation wrote", job_offsite_claim },
        { "offsite-look", "list the projects and services of a copy elsewhere", job_offsite_look },
        { "offsite-unpack", "bring back a project's files from a copy elsewhere", job_offsite_unpack },
        { "status", "look at how a database is protected", job_status },
        { "synchronous-off", "let commits wait for no receiver", job_synchronous_off },
        { "pull", "pull an image from a registry", job_pull },
};
const size_t job_table_length = ARRAY_SIZE(job_table);
