#include "postgres/password.h"

#include <sys/random.h>

#include "base/mem.h"

#define LENGTH 32

char *password_generate(void)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        char *password = xcalloc(LENGTH + 1, 1);

        for (size_t i = 0; i < LENGTH;) {
                unsigned char byte;
                if (getrandom(&byte, 1, 0) != 1)
                        continue;
                /* 248 is the largest multiple of 62 in a byte: no letter is likelier than another. */
                if (byte < 248)
                        password[i++] = alphabet[byte % 62];
        }
        return password;
}
