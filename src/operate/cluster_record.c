#include "operate/cluster_record.h"

#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"

json_t *cluster_settings_load(const char *repository_path)
{
        _cleanup_free_ char *path = path_join(repository_path, CLUSTER_SETTINGS_FILE);
        json_t *document = NULL;

        return document_load(path, CLUSTER_SETTINGS_FORMAT, &document, NULL) < 0 ? json_object() : document;
}

bool cluster_settings_hold(const json_t *document)
{
        bool found = json_object_get(document, "slot") != NULL;
        const char *name;
        json_t *entry;

        json_object_foreach(json_object_get(document, "settings"), name, entry)
                found |= json_get_bool(entry, "on", false);
        return found;
}
