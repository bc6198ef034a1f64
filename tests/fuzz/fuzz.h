/* A fuzz target: one function that takes any bytes and must neither crash nor do harm. It is linked with run.c, which feeds
 * it a corpus and, where asked, random changes of it; or, with clang -fsanitize=fuzzer, with libFuzzer, whose name it has. */
#ifndef BERTH_TEST_FUZZ_H
#define BERTH_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
