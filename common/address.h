/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - 'HOST:PORT' as options and files hold it. Pure: nothing is looked up.
 */
#ifndef MEMHERD_COMMON_ADDRESS_H
#define MEMHERD_COMMON_ADDRESS_H

#include <stdint.h>

#include "common/check.h"

#define ADDRESS_HOST_SIZE 256

/*
 * 'host:port' or '[v6]:port', whose brackets are taken away. The host may be empty and the port 0:
 * whoever connects must refuse those. -EINVAL leaves host and port alone.
 */
int address_parse(const char *text, char host[ADDRESS_HOST_SIZE], uint16_t *port) must_use;

#endif
