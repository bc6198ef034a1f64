/* Colour and the terminal. Decided once per process: --no-color, --ansi, NO_COLOR, TERM=dumb, or no terminal turn it
 * off. */
#ifndef BERTH_CLI_OUTPUT_COLOR_H
#define BERTH_CLI_OUTPUT_COLOR_H

#include <stdio.h>

#include "base/macros.h"

typedef enum ColorMode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } ColorMode;

typedef enum Color {
        COLOR_RESET,
        COLOR_BOLD,
        COLOR_DIM,
        COLOR_RED,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_BLUE,
        COLOR_MAGENTA,
        COLOR_CYAN,
        COLOR_BRIGHT_GREEN,
        COLOR_BRIGHT_YELLOW,
        COLOR_BRIGHT_BLUE,
        COLOR_BRIGHT_MAGENTA,
        COLOR_BRIGHT_CYAN,
        _COLOR_MAX,
} Color;

void color_set_mode(ColorMode mode);
/* The escape sequence, or "" where the stream shows no colour. */
const char *color(FILE *stream, Color which);
/* For the n-th of several sources of lines: never red, which is for errors. */
Color color_of_index(size_t index);

bool stream_is_terminal(FILE *stream);
/* Columns of the terminal behind the stream; 80 where there is none. */
size_t terminal_width(FILE *stream);
size_t terminal_height(FILE *stream);
/* Columns that a UTF-8 text takes. */
size_t text_width(const char *text);
/* At most `width` columns, the last one "…" where something was cut; owned by the caller. */
char *text_shorten(const char *text, size_t width);

#endif
