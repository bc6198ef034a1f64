/* The fields of the canonical model as data, in the order of the specification. */
#ifndef BERTH_COMPOSE_MODEL_TYPES_H
#define BERTH_COMPOSE_MODEL_TYPES_H

typedef enum FieldKind {
        F_TEXT,       /* a string */
        F_INT,        /* 0 is empty */
        F_COUNT,      /* not negative, shown where given */
        F_SHOWN_INT,  /* shown where given */
        F_SINGLE,     /* a number of single precision */
        F_BOOL,       /* false is empty */
        F_SHOWN_BOOL, /* shown where given */
        F_DURATION,   /* 0 is empty */
        F_SHOWN_DURATION,
        F_SIZE,      /* bytes, shown as a decimal string */
        F_TEXTS,     /* a list of strings, or one */
        F_NUMBERS,   /* the same with numbers among them */
        F_PAIRS,     /* a map of texts, no value is "" */
        F_STRINGS,   /* a map of strings or integers */
        F_VARIABLES, /* a map of texts, no value is null */
        F_MULTI,     /* a map of lists of texts */
        F_HOSTS,
        F_COMMAND,
        F_TEST,
        F_MODE,
        F_CPUS,
        F_DEVICES, /* "all" or a number */
        F_SSH,
        F_ENV_FILES,
        F_ULIMITS,
        F_STRUCT,  /* a value: shown empty in JSON only */
        F_POINTER, /* shown where given, also empty */
        F_LIST,
        F_MAP, /* by names that a user chose; a null stays */
} FieldKind;

enum {
        ALWAYS = 1 << 0,     /* also where it is empty */
        KEEP_FALSE = 1 << 1, /* an explicit false stays in YAML: it is not the default */
};

typedef struct Type Type;

typedef struct Field {
        const char *name;
        FieldKind kind;
        const Type *type;
        unsigned flags;
        const char *json_name; /* NULL: name */
} Field;

struct Type {
        const Field *fields; /* ends with a NULL name */
};

extern const Type type_service, type_network, type_volume, type_file_object, type_model;

#endif
