#include "cli/output/color.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const sequences[_COLOR_MAX] = {
        [COLOR_RESET] = "\033[0m",
        [COLOR_BOLD] = "\033[1m",
        [COLOR_DIM] = "\033[2m",
        [COLOR_RED] = "\033[31m",
        [COLOR_GREEN] = "\033[32m",
        [COLOR_YELLOW] = "\033[33m",
        [COLOR_BLUE] = "\033[34m",
        [COLOR_MAGENTA] = "\033[35m",
        [COLOR_CYAN] = "\033[36m",
        [COLOR_BRIGHT_GREEN] = "\033[92m",
        [COLOR_BRIGHT_YELLOW] = "\033[93m",
        [COLOR_BRIGHT_BLUE] = "\033[94m",
        [COLOR_BRIGHT_MAGENTA] = "\033[95m",
        [COLOR_BRIGHT_CYAN] = "\033[96m",
};

static ColorMode color_mode = COLOR_AUTO;

void color_set_mode(ColorMode mode)
{
        color_mode = mode;
}

static bool environment_allows_color(void)
{
        const char *terminal = getenv("TERM");

        return isempty(getenv("NO_COLOR")) && terminal && *terminal && !streq(terminal, "dumb");
}

const char *color(FILE *stream, Color which)
{
        if (color_mode == COLOR_NEVER)
                return "";
        if (color_mode == COLOR_AUTO && (!stream_is_terminal(stream) || !environment_allows_color()))
                return "";
        return sequences[which];
}

Color color_of_index(size_t index)
{
        static const Color order[] = {
                COLOR_CYAN,        COLOR_YELLOW,        COLOR_GREEN,        COLOR_MAGENTA,        COLOR_BLUE,
                COLOR_BRIGHT_CYAN, COLOR_BRIGHT_YELLOW, COLOR_BRIGHT_GREEN, COLOR_BRIGHT_MAGENTA, COLOR_BRIGHT_BLUE,
        };

        return order[index % ARRAY_SIZE(order)];
}

bool stream_is_terminal(FILE *stream)
{
        return isatty(fileno(stream));
}

static struct winsize terminal_size(FILE *stream)
{
        struct winsize size = { 0 };

        if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0)
                return (struct winsize){ 0 };
        return size;
}

size_t terminal_width(FILE *stream)
{
        size_t columns = terminal_size(stream).ws_col;

        return columns > 0 ? columns : 80;
}

size_t terminal_height(FILE *stream)
{
        size_t rows = terminal_size(stream).ws_row;

        return rows > 0 ? rows : 24;
}

/* Every code point counts one column: what Berth prints has no wide characters of its own. */
size_t text_width(const char *text)
{
        size_t width = 0;

        for (; *text; text++)
                if (((unsigned char)*text & 0xc0) != 0x80)
                        width++;
        return width;
}

char *text_shorten(const char *text, size_t width)
{
        size_t columns = 0;
        const char *end = text;

        if (text_width(text) <= width)
                return xstrdup(text);
        if (width == 0)
                return xstrdup("");
        for (; *end; end++) {
                if (((unsigned char)*end & 0xc0) == 0x80)
                        continue;
                if (++columns == width)
                        break;
        }
        return xasprintf("%.*s…", (int)(end - text), text);
}
