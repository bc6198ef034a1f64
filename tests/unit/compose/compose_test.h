/* What every test of the room begins with. */
#ifndef BERTH_TEST_COMPOSE_H
#define BERTH_TEST_COMPOSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#endif
