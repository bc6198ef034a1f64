/* Which version of ICU a file system holds, by the names of its libraries. */
#ifndef BERTH_IMAGE_ICU_H
#define BERTH_IMAGE_ICU_H

/* Where distributions have it, relative to the root; ends with NULL. */
extern const char *const icu_folders[];
/* "72" where the names of a folder's files have libicuuc.so.72; NULL: none. Owned by the caller. */
char *icu_version_among(char *const *names);

#endif
