/* make_sample FOLDER DAY FIRST COUNT: adds a made-up backup (sample.h) and its segment of the log to the repository in FOLDER,
 * whose path it prints. For tests of the programs; with the key's path as fifth argument it makes a key, too. */
#include "repository/key.h"
#include "sample.h"

int main(int argc, char **argv)
{
        Sample sample = { 0 };
        BackupKey *key = NULL;
        char *id;
        unsigned day;

        if (argc < 5)
                return 2;
        day = (unsigned)atoi(argv[2]);
        assert_ok(repository_create(argv[1], "shop", "db", 7412345678901234567, &sample.repository, err));
        id = sample_backup(&sample, day, (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
        sample_segment(&sample, day + 1);
        if (argc > 5)
                assert_ok(backup_key_create(argv[5], "shop", &key, err));
        printf("%s %s\n", sample.repository->path, id);
        backup_key_free(key);
        free(id);
        repository_free(sample.repository);
        return 0;
}
