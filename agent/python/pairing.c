/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pairing.h"

unsigned pairing_start(struct pairing *p, int64_t t_ns, int32_t tid, uint64_t sp, int generation,
		       struct pause ret[1])
{
	unsigned n = 0;

	/* The stack grows down: what began at or below sp has returned. */
	while (p->depth && p->open[p->depth - 1].sp <= sp) {
		p->depth--;
		if (p->depth == 0) {
			ret[0] = p->open[0].pause;
			n = 1;
		}
	}
	if (p->depth == PAIRING_DEPTH)
		return n;
	p->open[p->depth].sp = sp;
	p->open[p->depth].doubtful = false;
	p->open[p->depth].pause = (struct pause){.start_ns = t_ns,
						 .duration_ns = -1,
						 .collected = -1,
						 .tid = tid,
						 .generation = (int8_t)generation};
	p->depth++;
	return n;
}

bool pairing_done(struct pairing *p, int64_t t_ns, uint64_t sp, int64_t collected,
		  struct pause *ret)
{
	unsigned i = p->depth;

	if (sp != PAIRING_ANY_FRAME)
		while (i && p->open[i - 1].sp != sp)
			i--;
	if (!i)
		return false;
	p->depth = i - 1;
	if (p->depth)
		return false;
	*ret = p->open[0].pause;
	ret->duration_ns = t_ns > ret->start_ns ? t_ns - ret->start_ns : 0;
	ret->collected = collected;
	return true;
}

void pairing_doubt(struct pairing *p)
{
	if (p->depth)
		p->open[p->depth - 1].doubtful = true;
}

void pairing_reset(struct pairing *p)
{
	p->depth = 0;
}
