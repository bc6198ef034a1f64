#include "postgres/migrate/flags.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"

static const Flag *find(const Flag *flags, size_t n_flags, const char *name, size_t length)
{
        for (size_t i = 0; i < n_flags; i++)
                if (strlen(flags[i].name) == length && strncmp(flags[i].name, name, length) == 0)
                        return &flags[i];
        return NULL;
}

static bool parse_go_bool(const char *text, bool *ret)
{
        static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
        static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
                if (streq(text, yes[i]) || streq(text, no[i])) {
                        *ret = streq(text, yes[i]);
                        return true;
                }
        return false;
}

static bool set_value(const Flag *flag, const char *value)
{
        switch (flag->kind) {
        case FLAG_BOOL:
                return parse_go_bool(value, flag->value);
        case FLAG_STRING:
                *(const char **)flag->value = value;
                return true;
        case FLAG_INT:
                return parse_int64(value, INT32_MIN, INT32_MAX, flag->value);
        case FLAG_UINT:
                return parse_int64(value, 0, INT32_MAX / 1000, flag->value);
        }
        return false;
}

/* One flag; *args moves past it and its value. */
static FlagOutcome parse_one(const Flag *flags, size_t n_flags, char ***args)
{
        const char *name = **args + ((**args)[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        size_t length = equals ? (size_t)(equals - name) : strlen(name);
        const Flag *flag = find(flags, n_flags, name, length);
        const char *value = equals ? equals + 1 : NULL;

        if (length == 0 || *name == '-') {
                fprintf(stderr, "bad flag syntax: %s\n", **args);
                return FLAGS_WRONG;
        }
        if (!flag && (streq(name, "h") || streq(name, "help")))
                return FLAGS_HELP;
        if (!flag) {
                fprintf(stderr, "flag provided but not defined: -%.*s\n", (int)length, name);
                return FLAGS_WRONG;
        }
        (*args)++;
        if (!value && flag->kind == FLAG_BOOL)
                value = "true";
        else if (!value) {
                value = *(*args);
                if (!value) {
                        fprintf(stderr, "flag needs an argument: -%s\n", flag->name);
                        return FLAGS_WRONG;
                }
                (*args)++;
        }
        if (set_value(flag, value))
                return FLAGS_OK;
        fprintf(stderr,
                flag->kind == FLAG_BOOL ? "invalid boolean value \"%s\" for -%s: parse error\n"
                                        : "invalid value \"%s\" for flag -%s: parse error\n",
                value, flag->name);
        return FLAGS_WRONG;
}

FlagOutcome flags_parse(const Flag *flags, size_t n_flags, char ***args)
{
        while (**args && (**args)[0] == '-' && (**args)[1] != '\0') {
                FlagOutcome outcome;

                if (streq(**args, "--")) {
                        (*args)++;
                        return FLAGS_OK;
                }
                outcome = parse_one(flags, n_flags, args);
                if (outcome != FLAGS_OK)
                        return outcome;
        }
        return FLAGS_OK;
}

void flags_print_usage(const char *command, const Flag *flags, size_t n_flags)
{
        fprintf(stderr, "Usage of %s:\n", command);
        for (size_t i = 0; i < n_flags; i++)
                fprintf(stderr, "  -%s%s\n    \t%s\n", flags[i].name, flags[i].kind == FLAG_BOOL ? "" : " value",
                        flags[i].help);
}
