/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define GROWN_SPAN_US (600 * USEC_PER_SEC)

static void told_trouble(struct keeper *k, const struct error *err)
{
	if (!k->broken)
		log_warn("black_box error=\"%s\"", err->msg);
	k->broken = true;
}

void keeper_open(struct keeper *k, const char *path, const uint8_t boot_id[16])
{
	struct error err = {""};

	*k = (struct keeper){.box = {.fd = -1}};
	if (path && blackbox_open(&k->box, path, boot_id, &err) < 0)
		told_trouble(k, &err);
}

/* ---- at the start ---- */

static void mib(char out[32], int64_t kib)
{
	if (kib == METRIC_ABSENT)
		str_copy(out, 32, "unknown");
	else
		snprintf(out, 32, "%" PRId64, kib * 1024);
}

static void recall_end(struct keeper *k, struct sender *t)
{
	static const char *const keys[] = {"last_seen",      "clean",           "available_bytes",
					   "total_bytes",    "swap_free_bytes", "largest",
					   "fastest_growing"};
	bool told;
	const struct blackbox_state *s = blackbox_previous(&k->box, &told);
	char seen[STR_TIME_SIZE], available[32], total[32], swap[32], text[200];
	const char *values[] = {seen,
				"false",
				available,
				total,
				swap,
				s && s->n_largest ? s->largest[0].name : "",
				s && s->n_growing ? s->growing[0].name : ""};

	if (!s || told)
		return;
	blackbox_told(&k->box);
	if (s->clean)
		return;
	str_time(seen, s->wall_us);
	mib(available, s->mem_available);
	mib(total, s->mem_total);
	mib(swap, s->swap_free);
	if (s->mem_available != METRIC_ABSENT && s->mem_total > 0)
		snprintf(text, sizeof(text),
			 "the host went down without notice; when last seen it had %" PRId64
			 " %% of its memory available",
			 s->mem_available * 100 / s->mem_total);
	else
		snprintf(text, sizeof(text), "the host went down without notice");
	sender_say(t, WIRE_EVENT_HOST_END, text, keys, values, ARRAY_SIZE(values));
}

void keeper_recall(struct keeper *k, struct sender *t, int64_t wall_us)
{
	auto_buf struct buf body = BUF_INIT(BLACKBOX_DOSSIER_MAX);
	struct error err = {""};

	if (k->box.fd < 0)
		return;
	recall_end(k, t);
	for (uint32_t i = 0; i < k->box.n_dossiers; i++) {
		const struct blackbox_dossier *d = &k->box.dossiers[i];

		if (d->wall_us < wall_us - KEEPER_AGAIN_US)
			continue;
		buf_reset(&body);
		if (blackbox_read_dossier(&k->box, i, &body, &err) < 0)
			log_warn("black_box dossier=%" PRIu64 " error=\"%s\"", d->seq, err.msg);
		else
			sender_kill_again(t, d->wall_us, body.data, body.len);
	}
}

/* ---- the heartbeat ---- */

static const char *name_of(const struct ring *r, const struct ring_who *who)
{
	const char *service = names_text(&r->names, who->service);

	return *service ? service : who->comm;
}

/* Puts it among the top by its figure, the largest first. */
static void place(struct blackbox_top top[BLACKBOX_TOP], uint8_t *n, const struct blackbox_top *one,
		  bool by_growth)
{
	unsigned at = *n;

	while (at > 0 && (by_growth ? top[at - 1].grown_kib < one->grown_kib
				    : top[at - 1].rss_kib < one->rss_kib))
		at--;
	if (at == BLACKBOX_TOP)
		return;
	if (*n < BLACKBOX_TOP)
		(*n)++;
	memmove(&top[at + 1], &top[at], (*n - 1u - at) * sizeof(*top));
	top[at] = *one;
}

static void fill_top(const struct ring *r, int64_t boot_us, struct blackbox_state *s)
{
	static const int64_t spans[RING_SPANS] = {60 * USEC_PER_SEC, GROWN_SPAN_US,
						  3600 * USEC_PER_SEC};
	auto_free struct ring_grown *grown = NULL;
	size_t n = 0;

	if (ring_growth(r, boot_us, spans, &grown, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		int64_t gain = ring_gain(&grown[i], 1, boot_us, GROWN_SPAN_US);
		struct blackbox_top one = {.pid = grown[i].who->pid,
					   .rss_kib = grown[i].rss,
					   .grown_kib = gain == METRIC_ABSENT ? 0 : gain};

		if (grown[i].who->exit_us || grown[i].rss == RING_ABSENT)
			continue;
		str_copy(one.name, sizeof(one.name), name_of(r, grown[i].who));
		place(s->largest, &s->n_largest, &one, false);
		if (one.grown_kib > 0)
			place(s->growing, &s->n_growing, &one, true);
	}
}

void keeper_beat(struct keeper *k, const struct survey *v, int64_t wall_us, int64_t boot_us)
{
	struct blackbox_state s = {.wall_us = wall_us,
				   .mem_total = v->figures[HOST_METRIC_TOTAL],
				   .mem_available = v->figures[HOST_METRIC_AVAILABLE],
				   .swap_total = v->figures[HOST_METRIC_SWAP_TOTAL],
				   .swap_free = v->figures[HOST_METRIC_SWAP_FREE],
				   .psi_some = v->figures[HOST_METRIC_PSI_SOME10],
				   .psi_full = v->figures[HOST_METRIC_PSI_FULL10]};
	struct error err = {""};

	if (k->box.fd < 0 || (k->beat_us && boot_us - k->beat_us < KEEPER_BEAT_US))
		return;
	k->beat_us = boot_us;
	fill_top(&v->ring, boot_us, &s);
	if (blackbox_heartbeat(&k->box, &s, &err) < 0)
		told_trouble(k, &err);
}

void keeper_kill(struct keeper *k, int64_t wall_us, const struct buf *body)
{
	struct error err = {""};

	if (k->box.fd >= 0 &&
	    blackbox_add_dossier(&k->box, wall_us, body->data, body->len, NULL, &err) < 0)
		told_trouble(k, &err);
}

void keeper_close(struct keeper *k, int64_t wall_us)
{
	struct error err = {""};

	if (k->box.fd >= 0 && blackbox_mark_clean(&k->box, wall_us, &err) < 0)
		told_trouble(k, &err);
	blackbox_close(&k->box);
}
