#include <stdio.h>

#include "base/mem.h"
#include "operate/init.h"
#include "state/document.h"
#include "worker/job.h"

static json_t *file_to_json(const InitFile *file)
{
        char mode[8];

        snprintf(mode, sizeof(mode), "%04o", file->mode & 07777);
        return json_pack("{s:s, s:s, s:s}", "path", file->path, "purpose", file->purpose, "mode", mode);
}

int job_init(const Job *job, json_t **ret, Error **err)
{
        _cleanup_init_result_ InitResult result = { 0 };
        InitOptions options = {
                .major = (int)json_get_int(job->params, "major", 0),
                .database = json_get_string(job->params, "database", NULL),
                .host_port = (int)json_get_int(job->params, "port", 0),
        };
        json_t *files;
        int r = job_require(job, "directory", &options.directory, err);

        if (r == 0)
                r = init_deployment(&options, &result, err);
        if (r < 0)
                return r;
        files = json_array();
        for (size_t i = 0; i < result.length; i++)
                json_array_append_new(files, file_to_json(&result.files[i]));
        *ret = json_pack("{s:o, s:b}", "files", files, "owner_set", result.owner_set);
        return 0;
}
