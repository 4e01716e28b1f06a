/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h - the checksum of what lies on a disk: CRC-32C (Castagnoli), as in RFC 3720, appendix
 * B.4.
 */
#ifndef MEMHERD_COMMON_CRC32C_H
#define MEMHERD_COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc, the sum of what came before; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same without the processor's own instruction. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
