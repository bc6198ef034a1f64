#include "image/config.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "image/reference.h"
#include "state/document.h"

/* The keys of an object such as {"5432/tcp": {}}. */
static char **read_keys(const json_t *object)
{
        char **keys = NULL;
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)object, key, value)
                strv_add(&keys, key);
        strv_sort(keys);
        return keys;
}

static char **read_labels(const json_t *object)
{
        char **labels = NULL;
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)object, key, value)
                if (json_is_string(value))
                        strv_addf(&labels, "%s=%s", key, json_string_value(value));
        return labels;
}

/* A list of strings, or one string, which Docker's old format allows. */
static char **read_command(const json_t *config, const char *key)
{
        const json_t *value = json_object_get(config, key);

        if (json_is_string(value))
                return strv_new("/bin/sh", "-c", json_string_value(value), NULL);
        return json_get_strv(config, key);
}

static char *read_string(const json_t *config, const char *key)
{
        const char *value = json_get_string(config, key, NULL);

        return isempty(value) ? NULL : xstrdup(value);
}

static void read_healthcheck(const json_t *object, ImageHealthcheck *ret)
{
        ret->test = json_get_strv(object, "Test");
        ret->interval_ns = json_get_int(object, "Interval", 0);
        ret->timeout_ns = json_get_int(object, "Timeout", 0);
        ret->start_period_ns = json_get_int(object, "StartPeriod", 0);
        ret->start_interval_ns = json_get_int(object, "StartInterval", 0);
        ret->retries = json_get_int(object, "Retries", 0);
}

void image_config_read(const json_t *config, ImageConfig *ret)
{
        ret->environment = json_get_strv(config, "Env");
        ret->entrypoint = read_command(config, "Entrypoint");
        ret->command = read_command(config, "Cmd");
        ret->user = read_string(config, "User");
        ret->working_dir = read_string(config, "WorkingDir");
        ret->volumes = read_keys(json_object_get(config, "Volumes"));
        ret->exposed_ports = read_keys(json_object_get(config, "ExposedPorts"));
        ret->stop_signal = read_string(config, "StopSignal");
        ret->labels = read_labels(json_object_get(config, "Labels"));
        read_healthcheck(json_object_get(config, "Healthcheck"), &ret->healthcheck);
}

char *image_config_platform(const json_t *blob)
{
        const char *variant = json_get_string(blob, "variant", "");

        return xasprintf("%s/%s%s%s", json_get_string(blob, "os", "linux"),
                         json_get_string(blob, "architecture", "unknown"), *variant ? "/" : "", variant);
}

int64_t image_config_created_ns(const json_t *blob)
{
        int64_t created_ns = 0;

        clock_parse_time(json_get_string(blob, "created", ""), &created_ns);
        return created_ns;
}

int image_config_diff_ids(const json_t *blob, char ***ret, Error **err)
{
        _cleanup_strv_ char **diff_ids = json_get_strv(json_object_get(blob, "rootfs"), "diff_ids");

        STRV_FOREACH(diff_id, diff_ids)
                if (!digest_is_valid(*diff_id))
                        return error_set(err, ERROR_INVALID, "image configuration: \"%.80s\" is not a diff id",
                                         *diff_id);
        *ret = TAKE_PTR(diff_ids);
        return 0;
}
