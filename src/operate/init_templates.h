/* The texts that init.c fills in: @NAME@ is replaced. */
#ifndef BERTH_OPERATE_INIT_TEMPLATES_H
#define BERTH_OPERATE_INIT_TEMPLATES_H

typedef struct InitTemplate {
        const char *path;
        const char *purpose;
        unsigned mode;
        const char *text;
} InitTemplate;

/* Ends with a NULL path. */
extern const InitTemplate init_templates[];

#endif
