#include "repository/chunk.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/strv.h"
#include "repository/verify.h"

#define INDEX_SUFFIX ".index"

typedef struct ChunkSlot {
        ChunkId id;
        ChunkPlace place;
        bool used;
} ChunkSlot;

/* ---- names ---- */

static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void chunk_id_compute(const void *data, size_t size, ChunkId *ret)
{
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        pthread_once(&sha256_once, fetch_sha256);
        if (!context || !sha256 || EVP_DigestInit_ex2(context, sha256, NULL) != 1 ||
            EVP_DigestUpdate(context, data, size) != 1 || EVP_DigestFinal_ex(context, ret->bytes, NULL) != 1)
                abort(); /* out of memory, or a libcrypto without SHA-256 */
        EVP_MD_CTX_free(context);
}

void chunk_ids_compute(const Sha256Piece *pieces, size_t n, ChunkId *const *ret)
{
        unsigned char digests[2][SHA256_SIZE];

        if (n != 2 || !sha256_pair_is_fast()) {
                for (size_t i = 0; i < n; i++)
                        chunk_id_compute(pieces[i].data, pieces[i].size, ret[i]);
                return;
        }
        sha256_pair(pieces, digests);
        for (size_t i = 0; i < 2; i++)
                memcpy(ret[i]->bytes, digests[i], CHUNK_ID_SIZE);
}

static int digit_value(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool chunk_id_parse(const char *digits, ChunkId *ret)
{
        for (size_t i = 0; i < CHUNK_ID_SIZE; i++) {
                int high = digit_value(digits[2 * i]), low = high < 0 ? -1 : digit_value(digits[2 * i + 1]);
                if (low < 0)
                        return false;
                ret->bytes[i] = (unsigned char)(high << 4 | low);
        }
        return true;
}

void chunk_id_format(const ChunkId *id, char text[2 * CHUNK_ID_SIZE + 1])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < CHUNK_ID_SIZE; i++) {
                text[2 * i] = digits[id->bytes[i] >> 4];
                text[2 * i + 1] = digits[id->bytes[i] & 15];
        }
        text[2 * CHUNK_ID_SIZE] = '\0';
}

/* ---- the table: open addressing, at most half full ---- */

void chunk_index_done(ChunkIndex *index)
{
        strv_free(index->packs);
        free(index->slots);
        *index = (ChunkIndex){ 0 };
}

static ChunkSlot *slot_of(const ChunkIndex *index, const ChunkId *id)
{
        uint64_t start;

        memcpy(&start, id->bytes, sizeof(start));
        for (size_t i = start & (index->n_slots - 1);; i = (i + 1) & (index->n_slots - 1))
                if (!index->slots[i].used || memcmp(&index->slots[i].id, id, sizeof(*id)) == 0)
                        return &index->slots[i];
}

const ChunkPlace *chunk_index_find(const ChunkIndex *index, const ChunkId *id)
{
        const ChunkSlot *slot = index->n_slots ? slot_of(index, id) : NULL;

        return slot && slot->used ? &slot->place : NULL;
}

static void grow(ChunkIndex *index)
{
        ChunkIndex larger = { .n_slots = index->n_slots ? 2 * index->n_slots : 4096 };

        larger.slots = xnew_array(ChunkSlot, larger.n_slots);
        for (size_t i = 0; i < index->n_slots; i++)
                if (index->slots[i].used)
                        *slot_of(&larger, &index->slots[i].id) = index->slots[i];
        free(index->slots);
        index->slots = larger.slots;
        index->n_slots = larger.n_slots;
}

void chunk_index_put(ChunkIndex *index, const ChunkId *id, const ChunkPlace *place)
{
        ChunkSlot *slot;

        if (2 * index->length >= index->n_slots)
                grow(index);
        slot = slot_of(index, id);
        index->length += !slot->used;
        *slot = (ChunkSlot){ *id, *place, true };
}

uint32_t chunk_index_add_pack(ChunkIndex *index, const char *pack)
{
        uint32_t n = 0;

        for (; index->packs && index->packs[n]; n++)
                if (streq(index->packs[n], pack))
                        return n;
        strv_add(&index->packs, pack);
        return n;
}

/* ---- lines ---- */

void chunk_line_add(Strbuf *text, const ChunkId *id, const ChunkPlace *place)
{
        char digits[2 * CHUNK_ID_SIZE + 1];

        chunk_id_format(id, digits);
        strbuf_addf(text, "%s %" PRIu64 " %" PRIu32 " %" PRIu32 " %08" PRIx32 "\n", digits, place->offset,
                    place->stored_bytes, place->raw_bytes, place->crc32c);
}

/* A number without sign or blanks, up to end, which is skipped. Not by sscanf, which looks for the end of the whole text first,
 * in every line of it. */
static bool take_number(const char **at, int base, char end, uint64_t limit, uint64_t *ret)
{
        char *stop;

        if (digit_value(**at) < 0)
                return false;
        *ret = strtoull(*at, &stop, base);
        *at = stop + 1;
        return *ret <= limit && *stop == end;
}

static bool parse_line(const char *line, ChunkId *ret_id, ChunkPlace *ret)
{
        const char *at = line + 2 * CHUNK_ID_SIZE + 1;
        uint64_t offset, stored, raw, crc;

        if (!chunk_id_parse(line, ret_id) || line[2 * CHUNK_ID_SIZE] != ' ' ||
            !take_number(&at, 10, ' ', UINT64_MAX - 1, &offset) || !take_number(&at, 10, ' ', UINT32_MAX, &stored) ||
            !take_number(&at, 10, ' ', UINT32_MAX, &raw) || !take_number(&at, 16, '\n', UINT32_MAX, &crc))
                return false;
        *ret = (ChunkPlace){
                .offset = offset, .stored_bytes = (uint32_t)stored, .raw_bytes = (uint32_t)raw, .crc32c = (uint32_t)crc
        };
        return true;
}

int chunk_lines_parse(const char *text, size_t length, ChunkLineCall call, void *context, Error **err)
{
        const char *end = text + length;
        size_t number = 1;

        for (const char *line = text; line < end; number++) {
                const char *next = memchr(line, '\n', (size_t)(end - line));
                ChunkPlace place;
                ChunkId id;

                if (!next || !parse_line(line, &id, &place))
                        return error_set(err, ERROR_CORRUPT, "line %zu is damaged", number);
                call(context, &id, &place);
                line = next + 1;
        }
        return 0;
}

typedef struct Loading {
        ChunkIndex *index;
        uint32_t pack;
        uint64_t pack_bytes;
} Loading;

static void load_line(void *context, const ChunkId *id, const ChunkPlace *place)
{
        Loading *loading = context;
        ChunkPlace found = *place;

        /* Of a pack that is gone or cut off nothing is promised: the next backup stores it again. */
        if (place->offset + place->stored_bytes > loading->pack_bytes)
                return;
        found.pack = loading->pack;
        chunk_index_put(loading->index, id, &found);
}

static uint64_t size_of_pack(const StorageList *list, const char *name)
{
        _cleanup_free_ char *key = xasprintf("packs/%s.pack", name);

        VECTOR_FOREACH(entry, &list->entries)
                if (streq(entry->key, key))
                        return entry->size_bytes;
        return 0;
}

static int load_pack(ChunkIndex *index, Storage *storage, const StorageList *list, const char *key, Error **err)
{
        _cleanup_free_ char *name = xstrndup(key + strlen("packs/"), strlen(key) - strlen("packs/" INDEX_SUFFIX));
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        Loading loading = { .index = index, .pack_bytes = size_of_pack(list, name) };
        int r = storage_get(storage, key, CHUNK_INDEX_LIMIT, &text, err);

        if (r < 0)
                return r;
        strv_add(&index->packs, name);
        loading.pack = (uint32_t)strv_length(index->packs) - 1;
        r = chunk_lines_parse(strbuf_text(&text), text.length, load_line, &loading, err);
        return error_prefix(err, r, "\"%s\"", key);
}

static bool is_index_of(const char *key, char *const *packs)
{
        _cleanup_free_ char *id = xstrndup(key + strlen("packs/"), strlen(key) - strlen("packs/" INDEX_SUFFIX));

        return strv_contains(packs, id);
}

typedef struct LoadRules {
        char **distrusted; /* ids of packs; a strv */
        bool take_distrusted;
        char ***ret_damaged; /* NULL: a damaged index is an error */
} LoadRules;

/* Those that are distrusted, or the others: a later place of a chunk is taken for an earlier one. */
static int load_packs(ChunkIndex *index, Storage *storage, const StorageList *list, const LoadRules *rules,
                      bool distrusted, Error **err)
{
        VECTOR_FOREACH(entry, &list->entries) {
                _cleanup_error_ Error *failure = NULL;
                int r;

                if (!endswith(entry->key, INDEX_SUFFIX) || is_index_of(entry->key, rules->distrusted) != distrusted)
                        continue;
                r = load_pack(index, storage, list, entry->key, &failure);
                if (rules->ret_damaged && (r == -ERROR_CORRUPT || r == -ERROR_NOT_FOUND))
                        strv_add(rules->ret_damaged, entry->key);
                else if (r < 0)
                        return error_move(err, &failure, r);
        }
        return 0;
}

static int load(ChunkIndex *index, Storage *storage, LoadRules rules, Error **err)
{
        _cleanup_strv_ char **distrusted = verify_damaged_packs(storage);
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = storage->operations->list(storage, "packs", &list, err);

        rules.distrusted = distrusted;
        if (r == 0 && rules.take_distrusted)
                r = load_packs(index, storage, &list, &rules, true, err);
        return r < 0 ? r : load_packs(index, storage, &list, &rules, false, err);
}

int chunk_index_load(ChunkIndex *index, Storage *storage, Error **err)
{
        return load(index, storage, (LoadRules){ .take_distrusted = true }, err);
}

int chunk_index_load_trusted(ChunkIndex *index, Storage *storage, Error **err)
{
        return load(index, storage, (LoadRules){ .take_distrusted = false }, err);
}

int chunk_index_load_sound(ChunkIndex *index, Storage *storage, char ***ret_damaged, Error **err)
{
        return load(index, storage, (LoadRules){ .take_distrusted = true, .ret_damaged = ret_damaged }, err);
}
