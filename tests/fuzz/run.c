/* usage: fuzz-NAME FOLDER [ROUNDS [SEED]]: every file of the corpus as it is, then ROUNDS random changes of them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "fuzz.h"

#define INPUT_LIMIT ((size_t)1024 * 1024)

typedef VECTOR(Strbuf) Corpus;

static uint64_t random_state;

/* xorshift64*: the same everywhere for the same seed. */
static uint64_t next_random(uint64_t below)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return below ? (random_state * UINT64_C(2685821657736338717) >> 11) % below : 0;
}

static int read_corpus(const char *folder, Corpus *corpus)
{
        _cleanup_strv_ char **names = NULL;
        _cleanup_error_ Error *error = NULL;

        if (fs_list_directory(AT_FDCWD, folder, &names, &error) < 0)
                return fprintf(stderr, "%s\n", error->message), -1;
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                Strbuf text = STRBUF_INIT;

                if (fs_read_file(AT_FDCWD, path, INPUT_LIMIT, &text, &error) < 0)
                        return fprintf(stderr, "%s\n", error->message), -1;
                vector_add(corpus, text);
        }
        return corpus->length > 0 ? 0 : -1;
}

static void change_byte(Strbuf *input)
{
        if (input->length > 0)
                input->data[next_random(input->length)] = (char)next_random(256);
}

static void flip_bit(Strbuf *input)
{
        if (input->length > 0)
                input->data[next_random(input->length)] ^= (char)(1 << next_random(8));
}

static void cut(Strbuf *input)
{
        strbuf_truncate(input, next_random(input->length + 1));
}

static void remove_part(Strbuf *input)
{
        size_t start = next_random(input->length + 1), size = next_random(input->length - start + 1);

        memmove(input->data + start, input->data + start + size, input->length - start - size);
        strbuf_truncate(input, input->length - size);
}

static void repeat_part(Strbuf *input)
{
        size_t start = next_random(input->length + 1), size = next_random(MIN(input->length - start, (size_t)2048) + 1);
        _cleanup_free_ char *part = xmemdup(input->data + start, size);

        strbuf_add(input, part, size);
}

static void join_other(Strbuf *input, const Corpus *corpus)
{
        const Strbuf *other = &corpus->items[next_random(corpus->length)];
        size_t start = next_random(other->length + 1);

        strbuf_truncate(input, next_random(input->length + 1));
        strbuf_add(input, strbuf_text(other) + start, other->length - start);
}

static void change(Strbuf *input, const Corpus *corpus)
{
        static void (*const changes[])(Strbuf *) = { change_byte, change_byte, flip_bit,   flip_bit,
                                                     cut,         remove_part, repeat_part };
        size_t kind = next_random(ARRAY_SIZE(changes) + 1);

        if (kind == ARRAY_SIZE(changes))
                join_other(input, corpus);
        else
                changes[kind](input);
}

static void run_changed(const Corpus *corpus)
{
        const Strbuf *origin = &corpus->items[next_random(corpus->length)];
        _cleanup_strbuf_ Strbuf input = STRBUF_INIT;

        strbuf_reserve(&input, origin->length + 1);
        strbuf_add(&input, strbuf_text(origin), origin->length);
        for (size_t times = 1 + next_random(4); times > 0; times--)
                change(&input, corpus);
        if (input.length <= INPUT_LIMIT)
                LLVMFuzzerTestOneInput((const uint8_t *)strbuf_text(&input), input.length);
}

int main(int argc, char **argv)
{
        Corpus corpus = { 0 };
        long rounds = argc > 2 ? atol(argv[2]) : 0;

        random_state = argc > 3 ? (uint64_t)atoll(argv[3]) * 2 + 1 : 1;
        if (argc < 2 || read_corpus(argv[1], &corpus) < 0)
                return fprintf(stderr, "usage: %s FOLDER [ROUNDS [SEED]], with a file in FOLDER\n", argv[0]), 2;
        VECTOR_FOREACH(item, &corpus)
                LLVMFuzzerTestOneInput((const uint8_t *)strbuf_text(item), item->length);
        for (long i = 0; i < rounds; i++)
                run_changed(&corpus);
        printf("%zu inputs, %ld changes of them\n", corpus.length, rounds);
        VECTOR_FOREACH(item, &corpus)
                strbuf_done(item);
        vector_done(&corpus);
        return 0;
}
