/* Pages of tables as PostgreSQL writes them: 8192 bytes with a checksum in their header. */
#ifndef BERTH_POSTGRES_PAGE_H
#define BERTH_POSTGRES_PAGE_H

#include "base/error.h"

#define PAGE_SIZE_BYTES 8192

/* The checksum of a page at block_number of its relation (the stored one takes no part). */
uint16_t page_checksum(const void *page, uint32_t block_number);
uint16_t page_stored_checksum(const void *page);
void page_store_checksum(void *page, uint16_t checksum);
/* Whether a page read while the server runs is whole: its checksum is right, or it was never used, or it was written at
 * written_since or later, and so comes whole out of the log. */
bool page_is_sound(const void *page, uint32_t block_number, uint64_t written_since);

#endif
