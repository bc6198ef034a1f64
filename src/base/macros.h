/* Idioms that every file uses: cleanup at scope end, transfer of ownership, sizes of arrays. */
#ifndef BERTH_BASE_MACROS_H
#define BERTH_BASE_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define _cleanup_(function)     __attribute__((cleanup(function)))
#define _printf_(string, first) __attribute__((format(printf, string, first)))
#define _unused_                __attribute__((unused))
#define _noreturn_              __attribute__((noreturn))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Yields the pointer and leaves NULL behind: what follows owns it. */
#define TAKE_PTR(pointer)                                 \
        ({                                                \
                typeof(pointer) *take_from_ = &(pointer); \
                typeof(pointer) taken_ = *take_from_;     \
                *take_from_ = NULL;                       \
                taken_;                                   \
        })

/* The same for a file descriptor, whose empty value is -1. */
#define TAKE_FD(fd)                       \
        ({                                \
                int *take_from_ = &(fd);  \
                int taken_ = *take_from_; \
                *take_from_ = -1;         \
                taken_;                   \
        })

/* Defines NAMEp(TYPE **), the form that _cleanup_ calls, from NAME(TYPE *), which accepts NULL. */
#define DEFINE_CLEANUP(type, name)                 \
        static inline void name##p(type **pointer) \
        {                                          \
                name(*pointer);                    \
        }                                          \
        struct macros_semicolon_

#define MIN(a, b)                                  \
        ({                                         \
                typeof(a) min_a_ = (a);            \
                typeof(b) min_b_ = (b);            \
                min_a_ < min_b_ ? min_a_ : min_b_; \
        })
#define MAX(a, b)                                  \
        ({                                         \
                typeof(a) max_a_ = (a);            \
                typeof(b) max_b_ = (b);            \
                max_a_ > max_b_ ? max_a_ : max_b_; \
        })

#endif
