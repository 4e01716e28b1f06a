/* SPDX-License-Identifier: Apache-2.0 */
/*
 * position.h - up to where the kernel's log has been told, kept over restarts: 'boot-id seq' in one
 * line of text. A record's number counts from boot, so the boot belongs to it.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_POSITION_H
#define MEMHERD_AGENT_SENSE_OOM_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "common/error.h"

#define POSITION_TEXT_SIZE 64

/* True when text is a position in this boot. Anything else is as if there were none. */
bool position_parse(const char *text, size_t len, const uint8_t boot_id[16],
		    uint64_t *ret_seq) must_use;
/* Its length. */
size_t position_format(char out[POSITION_TEXT_SIZE], const uint8_t boot_id[16], uint64_t seq);

bool position_load(const char *path, const uint8_t boot_id[16], uint64_t *ret_seq) must_use;
/* A crash leaves the old one or the new one. */
int position_save(const char *path, const uint8_t boot_id[16], uint64_t seq,
		  struct error *err) must_use;

#endif
