#include "keeper/project_state.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"

void project_state_init(ProjectState *state, const Layout *layout, const char *project)
{
        *state = (ProjectState){ .path = layout_data(layout, "projects/%s/project.json", project) };
}

static void forget(ProjectState *state)
{
        free_and_replace(&state->working_dir, NULL);
        state->files = strv_free(state->files);
        json_decref(state->model);
        state->model = NULL;
}

void project_state_done(ProjectState *state)
{
        forget(state);
        free(state->path);
        free(state->kept_aside);
        *state = (ProjectState){ 0 };
}

int project_state_load(ProjectState *state, Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        forget(state);
        r = document_load(state->path, PROJECT_STATE_FORMAT, &document, &reason);
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r == -ERROR_CORRUPT)
                return document_keep_aside(state->path, &state->kept_aside, err);
        if (r < 0)
                return error_move(err, &reason, r);
        state->working_dir = xstrdup(json_get_string(document, "working_dir", NULL));
        state->files = json_get_strv(document, "files");
        state->model = json_incref(json_object_get(document, "model"));
        return 0;
}

void project_state_rebuild(ProjectState *state, const ContainerList *containers)
{
        for (size_t i = 0; !state->working_dir && i < containers->length; i++) {
                char **labels = containers->items[i]->spec ? containers->items[i]->spec->labels : NULL;
                const char *files = strv_env_get(labels, LABEL_CONFIG_FILES);
                state->working_dir = xstrdup(strv_env_get(labels, LABEL_WORKING_DIR));
                if (state->working_dir && !isempty(files))
                        state->files = strv_split(files, ',');
        }
}

int project_state_save(const ProjectState *state, Error **err)
{
        _cleanup_json_ json_t *document = json_object();
        _cleanup_free_ char *folder = path_dirname(state->path);
        int r;

        r = fs_make_directories(folder, 0711, err);
        if (r < 0)
                return r;
        json_set_string(document, "working_dir", state->working_dir);
        json_object_set_new(document, "files", json_from_strv(state->files));
        if (state->model)
                json_object_set(document, "model", state->model);
        return document_save(state->path, PROJECT_STATE_FORMAT, document, err);
}

int project_state_remove(ProjectState *state, Error **err)
{
        forget(state);
        return fs_remove_tree(AT_FDCWD, state->path, err);
}

void project_state_set(ProjectState *state, const char *working_dir, char *const *files, json_t *model)
{
        _cleanup_json_ json_t *kept = json_incref(model);

        forget(state);
        state->working_dir = xstrdup(working_dir);
        state->files = strv_copy(files);
        state->model = json_incref(kept);
}

int project_state_check_folder(const ProjectState *state, const char *project, const char *working_dir, bool name_given,
                               Error **err)
{
        int r;

        if (name_given || !state->working_dir || !working_dir || streq(state->working_dir, working_dir))
                return 0;
        r = error_set(err, ERROR_CONFLICT, "project \"%s\" belongs to %s: %s would take its name", project,
                      state->working_dir, working_dir);
        return error_hint(err, r,
                          "Give this one another name with -p NAME or `name:` in its file, or say `-p %s` to mean "
                          "the same project.",
                          project);
}
