#include "postgres/scram.h"

#include <errno.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/sha256.h"

#define BLOCK_SIZE 64

typedef struct Hmac {
        Sha256 inner, outer; /* with the key's pads already in */
} Hmac;

static void hmac_init(Hmac *hmac, const void *key, size_t size)
{
        unsigned char block[BLOCK_SIZE] = { 0 }, pad[BLOCK_SIZE];

        if (size > BLOCK_SIZE) {
                Sha256 hash;
                sha256_init(&hash);
                sha256_add(&hash, key, size);
                sha256_finish(&hash, block);
        } else
                memcpy(block, key, size);
        for (size_t i = 0; i < BLOCK_SIZE; i++)
                pad[i] = block[i] ^ 0x36;
        sha256_init(&hmac->inner);
        sha256_add(&hmac->inner, pad, sizeof(pad));
        for (size_t i = 0; i < BLOCK_SIZE; i++)
                pad[i] = block[i] ^ 0x5c;
        sha256_init(&hmac->outer);
        sha256_add(&hmac->outer, pad, sizeof(pad));
        erase_memory(block, sizeof(block));
        erase_memory(pad, sizeof(pad));
}

/* The state with the key is copied, so that a key's work is done once for thousands of rounds. */
static void hmac_of(const Hmac *hmac, const void *data, size_t size, unsigned char ret[SHA256_SIZE])
{
        Sha256 inner = hmac->inner, outer = hmac->outer;
        unsigned char digest[SHA256_SIZE];

        sha256_add(&inner, data, size);
        sha256_finish(&inner, digest);
        sha256_add(&outer, digest, sizeof(digest));
        sha256_finish(&outer, ret);
}

/* PBKDF2 with one block of output. */
static void salted_password(const char *password, const unsigned char *salt, unsigned iterations,
                            unsigned char ret[SHA256_SIZE])
{
        unsigned char first[SCRAM_SALT_SIZE + 4] = { 0 }, round[SHA256_SIZE];
        Hmac hmac;

        memcpy(first, salt, SCRAM_SALT_SIZE);
        first[SCRAM_SALT_SIZE + 3] = 1;
        hmac_init(&hmac, password, strlen(password));
        hmac_of(&hmac, first, sizeof(first), round);
        memcpy(ret, round, SHA256_SIZE);
        for (unsigned i = 1; i < iterations; i++) {
                hmac_of(&hmac, round, sizeof(round), round);
                for (size_t j = 0; j < SHA256_SIZE; j++)
                        ret[j] ^= round[j];
        }
        erase_memory(&hmac, sizeof(hmac));
}

/* Assigned in Unicode 3.2, without decomposition of the compatible kind, not combining, not written from the right. */
static const struct {
        uint32_t first, last;
} plain_ranges[] = {
        { 0x01, 0x7f },     { 0xa1, 0xa7 },     { 0xa9, 0xa9 },     { 0xab, 0xac },     { 0xae, 0xae },
        { 0xb0, 0xb1 },     { 0xb6, 0xb7 },     { 0xbb, 0xbb },     { 0xbf, 0x131 },    { 0x134, 0x13e },
        { 0x141, 0x148 },   { 0x14a, 0x17e },   { 0x391, 0x3a1 },   { 0x3a3, 0x3ce },   { 0x401, 0x401 },
        { 0x410, 0x44f },   { 0x451, 0x451 },   { 0x20ac, 0x20ac }, { 0x3041, 0x3094 }, { 0x30a1, 0x30fa },
        { 0x30fc, 0x30fe }, { 0x4e00, 0x9fa5 }, { 0xac00, 0xd7a3 },
};

/* The next character of UTF-8, shortest form only; 0 where it is none. */
static uint32_t next_character(const unsigned char **text)
{
        const unsigned char *at = *text;
        int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : -1;
        uint32_t character = more <= 0 ? *at : more == 1 ? *at & 0x1fU : *at & 0x0fU;

        if (more < 0)
                return 0;
        for (int i = 1; i <= more; i++) {
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
                character = character << 6 | (at[i] & 0x3fU);
        }
        *text = at + more + 1;
        return more == 2 && character < 0x800 ? 0 : character;
}

static bool is_plain_character(uint32_t character)
{
        for (size_t i = 0; i < ARRAY_SIZE(plain_ranges); i++)
                if (character >= plain_ranges[i].first && character <= plain_ranges[i].last)
                        return true;
        return false;
}

bool scram_is_plain(const char *password)
{
        const unsigned char *text = (const unsigned char *)password;

        while (*text)
                if (!is_plain_character(next_character(&text)))
                        return false;
        return true;
}

int scram_build_verifier(const char *password, const unsigned char *salt, unsigned iterations, char **ret, Error **err)
{
        unsigned char random_salt[SCRAM_SALT_SIZE], salted[SHA256_SIZE], client[SHA256_SIZE], stored[SHA256_SIZE],
                server[SHA256_SIZE];
        _cleanup_free_ char *salt_text = NULL, *stored_text = NULL, *server_text = NULL;
        Sha256 hash;
        Hmac hmac;

        if (!scram_is_plain(password))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "the password holds characters that have to be normalised first");
        if (!salt) {
                if (getrandom(random_salt, sizeof(random_salt), 0) != sizeof(random_salt))
                        return error_set_errno(err, errno, "read random numbers");
                salt = random_salt;
        }
        salted_password(password, salt, iterations, salted);
        hmac_init(&hmac, salted, sizeof(salted));
        hmac_of(&hmac, "Client Key", 10, client);
        hmac_of(&hmac, "Server Key", 10, server);
        sha256_init(&hash);
        sha256_add(&hash, client, sizeof(client));
        sha256_finish(&hash, stored);
        salt_text = base64_encode(salt, SCRAM_SALT_SIZE);
        stored_text = base64_encode(stored, sizeof(stored));
        server_text = base64_encode(server, sizeof(server));
        *ret = xasprintf("SCRAM-SHA-256$%u:%s$%s:%s", iterations, salt_text, stored_text, server_text);
        erase_memory(salted, sizeof(salted));
        erase_memory(client, sizeof(client));
        erase_memory(&hmac, sizeof(hmac));
        return 0;
}

bool scram_read_salt(const char *verifier, unsigned char ret_salt[SCRAM_SALT_SIZE])
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *text = strchr(verifier, ':');
        unsigned bits = 0;
        size_t n = 0;

        if (!startswith(verifier, "SCRAM-SHA-256$") || !text || strlen(verifier) != SCRAM_VERIFIER_LENGTH)
                return false;
        for (size_t i = 0; i < 22; i++) {
                const char *digit = strchr(digits, text[1 + i]);
                if (!digit)
                        return false;
                bits = bits << 6 | (unsigned)(digit - digits);
                if (i % 4 != 0 && n < SCRAM_SALT_SIZE)
                        ret_salt[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
        }
        return n == SCRAM_SALT_SIZE;
}
