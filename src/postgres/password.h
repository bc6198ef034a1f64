/* Passwords that nobody chose. */
#ifndef BERTH_POSTGRES_PASSWORD_H
#define BERTH_POSTGRES_PASSWORD_H

/* 32 letters and digits, 190 bits of the kernel's randomness; the caller's (free_secret). */
char *password_generate(void);

#endif
