#include "operate/backup_settings.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "state/document.h"

const json_t *backup_setting_of(const json_t *model, const char *service, const char *key)
{
        const json_t *services = json_object_get(model, "services");
        const json_t *places[] = { json_object_get(json_object_get(services, service), "x-berth"),
                                   json_object_get(model, "x-berth") };

        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                const json_t *word = json_object_get(places[i], "backup");
                if (word && key)
                        word = json_object_get(word, key);
                if (word)
                        return word;
        }
        return NULL;
}

bool backup_is_wanted(const json_t *model, const char *service)
{
        const json_t *word = backup_setting_of(model, service, NULL);

        if (!json_object_get(json_object_get(model, "services"), service) || json_is_false(word))
                return false;
        return !json_is_string(word) || !streq(json_string_value(word), "off");
}

/* Of both places, or of the local one alone. */
static const json_t *keep_word(const json_t *model, const char *service, const char *place)
{
        const json_t *keep = backup_setting_of(model, service, "keep");
        const json_t *offsite = backup_setting_of(model, service, "offsite");

        if (streq(place, "offsite") && json_object_get(offsite, "keep"))
                return json_object_get(offsite, "keep");
        if (json_object_get(keep, "local") || json_object_get(keep, "offsite"))
                return json_object_get(keep, place);
        return streq(place, "local") ? keep : NULL;
}

json_t *backup_keep_of(const json_t *model, const char *service, const char *place)
{
        const json_t *word = keep_word(model, service, place);

        return word ? json_deep_copy(word) : json_string(streq(place, "local") ? "7d" : "30d");
}

/* ---- elsewhere ---- */

void offsite_settings_done(OffsiteSettings *settings)
{
        json_decref(settings->copy);
        json_decref(settings->keep);
        free(settings->key);
        timezone_free(settings->timezone);
        *settings = (OffsiteSettings){ 0 };
}

/* A secret of the project by its name, else a file. *ret stays NULL where nothing is said. */
static int file_of(const json_t *model, const char *working_dir, const json_t *words, const char *member, char **ret,
                   Error **err)
{
        const char *word = json_get_string(words, member, NULL);
        const json_t *secret = word ? json_object_get(json_object_get(model, "secrets"), word) : NULL;
        const char *file = json_get_string(secret, "file", NULL);
        int r;

        if (!word)
                return 0;
        if (secret && !file) {
                r = error_set(err, ERROR_INVALID, "x-berth.backup.offsite.%s: the secret \"%s\" is not a file", member,
                              word);
                return error_hint(err, r,
                                  "Only secrets with \"file:\" can be used here; the path of a file will do, too.");
        }
        *ret = path_clean(working_dir, file ? file : word);
        return 0;
}

static int read_files(const json_t *model, const char *working_dir, const json_t *words, OffsiteSettings *ret,
                      Error **err)
{
        static const char *const files[] = { "credentials", "identity", "known_hosts", "ca" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *path = NULL;

                r = file_of(model, working_dir, words, files[i], &path, err);
                json_set_string(ret->copy, files[i], path);
        }
        return r < 0 ? r : file_of(model, working_dir, words, "key", &ret->key, err);
}

static int read_schedule(const json_t *model, const char *service, const json_t *words, OffsiteSettings *ret,
                         Error **err)
{
        const char *text = json_get_string(words, "schedule", NULL);
        int r;

        ret->interval_ns = OFFSITE_INTERVAL_NS;
        if (!text || parse_duration(text, &ret->interval_ns))
                return 0;
        ret->interval_ns = 0;
        r = cron_parse(text, &ret->cron, err);
        if (r == 0)
                r = timezone_load(json_string_value(backup_setting_of(model, service, "timezone")), &ret->timezone,
                                  err);
        return error_prefix(err, r, "x-berth.backup.offsite.schedule");
}

bool offsite_names_place(const json_t *words)
{
        return json_is_object(words) || (json_is_string(words) && !streq(json_string_value(words), "off"));
}

int offsite_settings_read(const json_t *model, const char *working_dir, const char *service, OffsiteSettings *ret,
                          bool *ret_said, Error **err)
{
        const json_t *words = backup_setting_of(model, service, "offsite");
        const char *rate = json_get_string(words, "max_rate", NULL);
        OffsiteSettings settings = { 0 };
        int r;

        *ret_said = false;
        if (!offsite_names_place(words))
                return 0;
        settings.copy = json_object();
        json_set_string(settings.copy, "url",
                        json_is_string(words) ? json_string_value(words) : json_get_string(words, "url", ""));
        json_set_string(settings.copy, "endpoint", json_get_string(words, "endpoint", NULL));
        json_set_string(settings.copy, "region", json_get_string(words, "region", NULL));
        settings.keep = backup_keep_of(model, service, "offsite");
        if (rate)
                parse_size(rate, &settings.max_rate);
        r = read_files(model, working_dir, words, &settings, err);
        if (r == 0)
                r = read_schedule(model, service, words, &settings, err);
        if (r < 0) {
                offsite_settings_done(&settings);
                return r;
        }
        *ret = settings;
        *ret_said = true;
        return 0;
}
