/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greeting.h - what the agent says first (Hello) and what it makes of the answer.
 */
#ifndef MEMHERD_AGENT_LINK_GREETING_H
#define MEMHERD_AGENT_LINK_GREETING_H

#include "agent/link/link.h"
#include "common/buf.h"
#include "proto/wire.h"

/* Appends the Hello of the streams that hold the records seq_min..seq_max. */
int greeting_hello(const struct agent_options *o, const struct link_start *start,
		   const struct lanes *lanes, bool act, struct buf *out,
		   struct error *err) must_use;
/* Which boot this is; zeros when /proc does not say. */
void greeting_boot_id(const struct agent_options *o, uint8_t ret[16]);

#define GREETING_HEARTBEAT_MIN_MS 50
#define GREETING_HEARTBEAT_MAX_MS 60000
/* What HelloAck says of our streams: the last number stored of each, and how often to show life
 * (ms). -EPROTO for another protocol version, -EBADMSG for what we cannot live with. */
int greeting_judge(const struct wire_hello_ack *ack, const struct lanes *lanes,
		   uint64_t ret_last_seq[LANES_MAX], uint32_t *ret_heartbeat_ms,
		   struct error *err) must_use;

#endif
