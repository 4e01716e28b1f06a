/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "proto/metric.h"

#define REGION_AT ((off_t)2 * BLACKBOX_SLOT)

/* ---- bytes in the file ---- */

static int write_at(int fd, const void *data, size_t len, off_t at)
{
	const char *p = data;

	while (len) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* How much of it is there. */
static ssize_t read_at(int fd, void *data, size_t len, off_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, (char *)data + have, len - have, at + (off_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int sync_data(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

/* The present state into the slot that does not hold the last good one. */
static int save(struct blackbox *b)
{
	auto_free uint8_t *slot = malloc(BLACKBOX_SLOT);
	int r;

	if (!slot)
		return -ENOMEM;
	b->generation++;
	r = blackbox_pack(b, slot);
	if (r == 0)
		r = write_at(b->fd, slot, BLACKBOX_SLOT,
			     (off_t)(b->generation % 2) * BLACKBOX_SLOT);
	if (r == 0)
		r = sync_data(b->fd);
	/* The next try goes to the same slot: the other one is the one that is known to be good. */
	if (r < 0)
		b->generation--;
	return r;
}

/* ---- opening ---- */

/* The better of the two slots; false when neither is good. */
static bool load(struct blackbox *b)
{
	auto_free uint8_t *slot = malloc(BLACKBOX_SLOT);
	bool found = false;

	for (off_t i = 0; slot && i < 2; i++) {
		struct blackbox other = {.fd = b->fd};
		ssize_t n = read_at(b->fd, slot, BLACKBOX_SLOT, i * BLACKBOX_SLOT);

		/* its place tells the parity of its generation, or the next save would hit it */
		if (n < 0 || blackbox_unpack(slot, (size_t)n, &other) < 0 ||
		    other.generation % 2 != (uint64_t)i ||
		    (found && other.generation < b->generation))
			continue;
		*b = other;
		found = true;
	}
	return found;
}

static void forget(struct blackbox *b, uint32_t i)
{
	b->n_dossiers--;
	memmove(&b->dossiers[i], &b->dossiers[i + 1], (b->n_dossiers - i) * sizeof(b->dossiers[0]));
}

static void drop_broken(struct blackbox *b)
{
	for (uint32_t i = b->n_dossiers; i-- > 0;) {
		auto_buf struct buf bytes = BUF_INIT(BLACKBOX_DOSSIER_MAX);

		if (blackbox_read_dossier(b, i, &bytes, NULL) != -EBADMSG)
			continue;
		forget(b, i);
		b->dropped++;
	}
}

/* What the file said becomes the past. */
static void turn_page(struct blackbox *b, const uint8_t boot_id[16])
{
	b->last = b->now;
	b->have_last = true;
	if (memcmp(b->now.boot_id, boot_id, 16) != 0) {
		b->previous = b->now;
		b->have_previous = true;
		b->told = false;
	}
}

/* Until the first heartbeat: what this boot's last one said, or nothing. */
static void begin_watch(struct blackbox *b, const uint8_t boot_id[16])
{
	b->now.clean = false;
	if (b->have_last && memcmp(b->now.boot_id, boot_id, 16) == 0)
		return;
	b->now = (struct blackbox_state){
		.mem_total = METRIC_ABSENT,
		.mem_available = METRIC_ABSENT,
		.swap_total = METRIC_ABSENT,
		.swap_free = METRIC_ABSENT,
		.psi_some = METRIC_ABSENT,
		.psi_full = METRIC_ABSENT,
	};
	memcpy(b->now.boot_id, boot_id, 16);
}

int blackbox_open(struct blackbox *b, const char *path, const uint8_t boot_id[16],
		  struct error *err)
{
	struct stat st;

	*b = (struct blackbox){
		.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
	if (b->fd < 0)
		return error_sys(err, -errno, "cannot open '%s'", path);
	if (fstat(b->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		blackbox_close(b);
		return error_set(err, -EINVAL, "'%s' is not a regular file", path);
	}
	if (load(b)) {
		drop_broken(b);
		turn_page(b, boot_id);
	}
	begin_watch(b, boot_id);
	return 0;
}

void blackbox_close(struct blackbox *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

/* ---- writing ---- */

int blackbox_heartbeat(struct blackbox *b, const struct blackbox_state *s, struct error *err)
{
	struct blackbox_state next = *s;
	int r;

	memcpy(next.boot_id, b->now.boot_id, sizeof(next.boot_id));
	next.clean = false;
	b->now = next;
	r = save(b);
	return r < 0 ? error_sys(err, r, "cannot write the black box") : 0;
}

int blackbox_mark_clean(struct blackbox *b, int64_t wall_us, struct error *err)
{
	int r;

	b->now.wall_us = wall_us;
	b->now.clean = true;
	r = save(b);
	return r < 0 ? error_sys(err, r, "cannot write the black box") : 0;
}

static uint32_t total_of(const struct blackbox *b)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < b->n_dossiers; i++)
		sum += b->dossiers[i].len;
	return sum;
}

/*
 * Dossiers go round the region, so those that either slot refers to lie behind the cursor, within
 * TOTAL_MAX and, at the region's end, one hole smaller than DOSSIER_MAX; with the one that was
 * forgotten last this is 640 KiB of 1 MiB, and the next one cannot reach them.
 */
int blackbox_add_dossier(struct blackbox *b, int64_t wall_us, const void *data, size_t len,
			 uint64_t *ret_seq, struct error *err)
{
	struct blackbox before = *b;
	struct blackbox_dossier *d;
	uint32_t at;
	int r;

	if (!len || len > BLACKBOX_DOSSIER_MAX)
		return error_set(err, -EMSGSIZE, "a dossier has 1 to %u bytes, not %zu",
				 BLACKBOX_DOSSIER_MAX, len);
	while (b->n_dossiers == BLACKBOX_DOSSIERS || total_of(b) + len > BLACKBOX_TOTAL_MAX) {
		forget(b, 0);
		b->dropped++;
	}
	at = b->cursor + len > BLACKBOX_REGION ? 0 : b->cursor;
	d = &b->dossiers[b->n_dossiers++];
	*d = (struct blackbox_dossier){.seq = b->next_seq++,
				       .wall_us = wall_us,
				       .sum = XXH3_64bits(data, len),
				       .offset = at,
				       .len = (uint32_t)len};
	b->cursor = at + (uint32_t)len;
	b->now.wall_us = MAX_OF(b->now.wall_us, wall_us);
	r = write_at(b->fd, data, len, REGION_AT + at);
	if (r == 0)
		r = sync_data(b->fd);
	if (r == 0)
		r = save(b);
	if (r < 0) {
		*b = before;
		return error_sys(err, r, "cannot write a dossier to the black box");
	}
	if (ret_seq)
		*ret_seq = b->dossiers[b->n_dossiers - 1].seq;
	return 0;
}

int blackbox_read_dossier(const struct blackbox *b, uint32_t i, struct buf *out, struct error *err)
{
	const struct blackbox_dossier *d = &b->dossiers[i];
	uint8_t *room;
	ssize_t n;

	if (i >= b->n_dossiers)
		return error_set(err, -ENOENT, "no dossier %u", i);
	room = buf_reserve(out, d->len);
	if (!room)
		return error_sys(err, -ENOBUFS, "cannot read dossier %u", i);
	n = read_at(b->fd, room, d->len, REGION_AT + d->offset);
	if (n < 0)
		return error_sys(err, (int)n, "cannot read dossier %u", i);
	if (n != (ssize_t)d->len || XXH3_64bits(room, d->len) != d->sum)
		return error_set(err, -EBADMSG, "dossier %u is not what was written", i);
	out->len += d->len;
	return 0;
}

int blackbox_forget_dossier(struct blackbox *b, uint64_t seq, struct error *err)
{
	int r;

	for (uint32_t i = 0; i < b->n_dossiers; i++) {
		if (b->dossiers[i].seq != seq)
			continue;
		forget(b, i);
		r = save(b);
		return r < 0 ? error_sys(err, r, "cannot write the black box") : 0;
	}
	return 0;
}

const struct blackbox_state *blackbox_previous(const struct blackbox *b, bool *ret_told)
{
	if (!b->have_previous)
		return NULL;
	*ret_told = b->told;
	return &b->previous;
}

void blackbox_told(struct blackbox *b)
{
	b->told = true;
}
