/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/journal_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int complain(const char *path, uint64_t place, const struct error *why, struct error *err)
{
	return error_set(err, -EBADMSG, "journal '%s': record %" PRIu64 " %s", path, place,
			 why->msg);
}

struct reading {
	const char *path;
	FILE *f;
	journal_each *each;
	void *arg;
};

static void tell(const struct reading *in, const struct journal_record *r)
{
	if (in->each)
		in->each(in->arg, r);
}

static int verify_old(const struct reading *in, struct journal_check *c, struct error *err)
{
	uint8_t bytes[JOURNAL_OLD_SIZE];
	struct journal_record r;
	struct error why = {""};
	size_t n;

	c->old = true;
	while ((n = fread(bytes, 1, sizeof(bytes), in->f)) == sizeof(bytes)) {
		if (journal_record_unpack_old(bytes, &r, &why) < 0)
			return complain(in->path, c->records + 1, &why, err);
		c->records++;
		tell(in, &r);
	}
	c->torn = n > 0;
	return 0;
}

static int verify_chain(const struct reading *in, struct journal_check *c, struct error *err)
{
	uint8_t bytes[JOURNAL_RECORD_SIZE];
	struct journal_link at = {.number = 0};
	uint64_t place = 0;
	struct journal_record r;
	struct error why = {""};
	size_t n;

	while ((n = fread(bytes, 1, sizeof(bytes), in->f)) == sizeof(bytes)) {
		place++;
		if (journal_record_unpack(bytes, &r, &why) < 0 ||
		    journal_link_follow(&at, &r, &why) < 0)
			return complain(in->path, place, &why, err);
		if (r.kind == JOURNAL_ANCHOR)
			continue;
		if (!c->records++)
			c->first = r.number;
		tell(in, &r);
	}
	c->last = at.number;
	c->torn = n > 0;
	memcpy(c->head, at.hash, sizeof(c->head));
	return 0;
}

int journal_verify(const char *path, journal_each *each, void *arg, struct journal_check *ret,
		   struct error *err)
{
	struct journal_check c = {.records = 0};
	FILE *f = fopen(path, "re");
	const struct reading in = {.path = path, .f = f, .each = each, .arg = arg};
	char magic[4] = "";
	int rc;

	if (!f)
		return error_sys(err, -errno, "cannot open journal '%s'", path);
	if (fread(magic, 1, sizeof(magic), f) != sizeof(magic))
		magic[0] = '\0';
	rewind(f);
	if (memcmp(magic, JOURNAL_OLD_MAGIC, sizeof(magic)) == 0)
		rc = verify_old(&in, &c, err);
	else
		rc = verify_chain(&in, &c, err);
	if (rc == 0 && ferror(f))
		rc = error_sys(err, -EIO, "cannot read journal '%s'", path);
	(void)fclose(f);
	if (rc == 0)
		*ret = c;
	return rc;
}
