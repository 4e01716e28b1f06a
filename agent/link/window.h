/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - how much may be on its way to the collector, and the batches that fill it.
 *
 * HelloAck grants bytes and batches, all lanes together; a batch is charged until an ack covers
 * its last record. Samples go only while nothing urgent waits. At least one batch may always be
 * under way, or a record larger than the grant would wait for ever; and always one of urgent
 * records, however much of the grant samples hold: a collector that is slow to store them still
 * hears of a kill. Pure but for the spools that it takes records from.
 */
#ifndef MEMHERD_AGENT_LINK_WINDOW_H
#define MEMHERD_AGENT_LINK_WINDOW_H

#include "agent/link/lane.h"
#include "common/buf.h"
#include "common/error.h"

#define WINDOW_MAX_BATCHES 256 /* told apart; what is more counts with its lane's last one */

struct window {
	size_t max_frame; /* bytes of a batch */
	size_t max_bytes;
	size_t max_batches;
	size_t bytes; /* under way, in all lanes */
	size_t n;     /* batches under way, in all lanes; the oldest first */
	struct {
		size_t lane; /* in lanes.of */
		uint64_t last_seq;
		size_t bytes;
	} batches[WINDOW_MAX_BATCHES + LANES_MAX]; /* and one of each lane that has none */
};

/* A new connection, with nothing under way. -EBADMSG for a grant in which the largest record could
 * never be sent. */
int window_open(struct window *w, const struct wire_hello_ack *ack, struct error *err) must_use;
/* Packs the next batch into out (empty, at least max_frame large) and charges it; the number of
 * records, 0 when nothing waits or nothing more is granted, -ENOBUFS without memory. */
int window_fill(struct window *w, const struct lanes *ls, struct buf *out) must_use;
/* Everything of that lane (in lanes.of) up to seq is stored. */
void window_acked(struct window *w, size_t lane, uint64_t seq);

#endif
