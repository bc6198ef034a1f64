#include "operate/target.h"

#include "base/mem.h"
#include "operate/data_folder.h"
#include "operate/login.h"
#include "state/document.h"

#define DEFAULT_FOLDER "/var/lib/postgresql/data"

json_t *database_target_to_json(const ContainerInfo *info)
{
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        const char *folder = info->spec ? data_folder_of_spec(info->spec) : NULL;
        json_t *target;

        database_login_of(info, &login);
        target = json_pack("{s:i, s:s, s:s}", "pid", (int)info->pid, "data_dir", folder ? folder : DEFAULT_FOLDER,
                           "user", login.user);
        if (!isempty(login.password))
                json_set_string(target, "password", login.password);
        return target;
}
