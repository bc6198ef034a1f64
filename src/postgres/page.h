/* Pages of tables as PostgreSQL writes them: 8192 bytes with a checksum in their header. */
#ifndef BERTH_POSTGRES_PAGE_H
#define BERTH_POSTGRES_PAGE_H

#include "base/error.h"

#define PAGE_SIZE_BYTES 8192

/* The checksum of a page at block_number of its relation (the stored one takes no part). */
uint16_t page_checksum(const void *page, uint32_t block_number);
uint16_t page_stored_checksum(const void *page);
void page_store_checksum(void *page, uint16_t checksum);

#endif
