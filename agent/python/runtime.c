/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/python/candidates.h"
#include "agent/python/gcstat.h"
#include "agent/python/image.h"
#include "agent/python/memory.h"
#include "agent/python/micro.h"
#include "agent/python/objfile.h"
#include "agent/python/offsets.h"
#include "common/str.h"

#define OLDEST_MINOR 8
/* An interpreter may end while its list is walked. */
#define LIST_LOOKS 4u

/* ---- the structures ---- */

uint64_t runtime_gc(const struct runtime *r, uint64_t interpreter)
{
	return r->layout.runtime.gc != LAYOUT_NONE ? r->address + r->layout.runtime.gc
						   : interpreter + r->layout.interpreter.gc;
}

/* Whether it is one of this runtime's, and what follows it. */
static int follow(const struct runtime *r, uint64_t interpreter, uint64_t *ret_next)
{
	const struct layout_interpreter *l = &r->layout.interpreter;
	uint64_t back = r->address;
	struct memory_span spans[2] = {{interpreter + l->next, ret_next, sizeof(*ret_next)},
				       {interpreter + l->runtime, &back, sizeof(back)}};
	int rc = memory_read_spans(r->pid, spans, l->runtime == LAYOUT_NONE ? 1 : 2);

	return rc == 0 && back != r->address ? -EBADMSG : rc;
}

static bool is_among(const uint64_t *list, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

/* The newest is at the head; the pointer to the main one stands behind the head's. */
static int walk_interpreters(const struct runtime *r, uint64_t *ret, unsigned max)
{
	uint64_t seen[RUNTIME_MAX_INTERPRETERS];
	uint64_t heads[2];
	unsigned n_seen = 0;
	unsigned n = 1;
	int rc = memory_read(r->pid, r->address + r->layout.runtime.interpreters_head, heads,
			     sizeof(heads));

	if (rc == 0 && (!heads[0] || !heads[1]))
		return -EBADMSG;
	ret[0] = heads[1];
	for (uint64_t at = heads[0]; rc == 0 && at && n_seen < ARRAY_SIZE(seen);) {
		if (is_among(seen, n_seen, at))
			return -ELOOP;
		seen[n_seen++] = at;
		if (at != heads[1] && n < max)
			ret[n++] = at;
		rc = follow(r, at, &at);
	}
	if (rc < 0)
		return rc;
	return n_seen == ARRAY_SIZE(seen) || is_among(seen, n_seen, heads[1]) ? (int)n : -EBADMSG;
}

int runtime_interpreters(const struct runtime *r, uint64_t *ret, unsigned max)
{
	int rc = -EBADMSG;

	for (unsigned i = 0; max && i < LIST_LOOKS && (rc == -EBADMSG || rc == -EFAULT); i++)
		rc = walk_interpreters(r, ret, max);
	return rc > 1 && r->layout.runtime.gc != LAYOUT_NONE ? 1 : rc;
}

/* ---- states ---- */

static enum python_state state_of(int rc, enum python_state other)
{
	if (rc == -ESRCH)
		return PYTHON_GONE;
	if (rc == -EPERM || rc == -EACCES)
		return PYTHON_DENIED;
	return rc == -ESHUTDOWN ? PYTHON_FINALIZING : other;
}

static enum python_state tell(struct error *err, enum python_state state, const char *why)
{
	error_set(err, -1, "%s%s%s", python_state_text(state), why ? ": " : "", why ? why : "");
	return state;
}

/* How far the interpreter's life has gone; READABLE = it runs. */
static enum python_state read_life(const struct runtime *r, struct error *err)
{
	const struct layout_runtime *l = &r->layout.runtime;
	int32_t initialized;
	uint64_t finalizing;
	uint64_t head;
	struct memory_span spans[] = {
		{r->address + l->initialized, &initialized, sizeof(initialized)},
		{r->address + l->finalizing, &finalizing, sizeof(finalizing)},
		{r->address + l->interpreters_head, &head, sizeof(head)},
	};
	int rc = memory_read_spans(r->pid, spans, ARRAY_SIZE(spans));

	if (rc < 0)
		return tell(err, state_of(rc, PYTHON_UNKNOWN_LAYOUT), NULL);
	if (initialized != 0 && initialized != 1)
		return tell(err, PYTHON_UNKNOWN_LAYOUT, "its runtime's flags are none");
	if (finalizing)
		return tell(err, PYTHON_FINALIZING, NULL);
	return initialized && head ? PYTHON_READABLE : tell(err, PYTHON_STARTING, NULL);
}

static enum python_state check_row(struct runtime *r, struct error *err)
{
	enum python_state state = read_life(r, err);
	uint64_t main_interpreter;
	int rc;

	if (state != PYTHON_READABLE)
		return state;
	rc = runtime_interpreters(r, &main_interpreter, 1);
	if (rc < 0)
		return tell(err, state_of(rc, PYTHON_UNKNOWN_LAYOUT),
			    "its list of interpreters is none");
	rc = gcstat_check(r, main_interpreter);
	if (rc < 0)
		return tell(err, state_of(rc, PYTHON_UNKNOWN_LAYOUT),
			    "its collector is not where it should be");
	r->incremental = r->layout.incremental;
	return PYTHON_READABLE;
}

/* Tries the version's rows; with offsets of the program's own only those that agree with them. */
static enum python_state check_rows(struct runtime *r, const struct offsets *o, struct error *err)
{
	unsigned minor = r->version >> 16 & 0xff;
	enum python_state state =
		tell(err, PYTHON_UNKNOWN_LAYOUT, "its collector is of no size known");
	const struct layout *row;

	for (unsigned i = 0; (row = layout_at(i)); i++) {
		if (row->minor != minor || (o && !offsets_match(o, row)))
			continue;
		r->layout = *row;
		if (o)
			offsets_apply(o, &r->layout);
		state = check_row(r, err);
		if (state != PYTHON_UNKNOWN_LAYOUT)
			break;
	}
	return state;
}

/* ---- the version ---- */

/* sizeof(_PyRuntime), where nothing else tells. */
static int minor_of_size(uint64_t size)
{
	switch (size) {
	case 1464:
		return 8;
	case 656:
		return 9;
	case 672:
		return 10;
	default:
		return -1;
	}
}

/* 3.11 and later export their version; before it is in the name of the file, or of the modules. */
static enum python_state read_version(const struct image *im, const struct candidate *c,
				      const struct maps *maps, uint64_t size, struct runtime *r)
{
	uint64_t address;
	uint64_t unused;
	uint64_t version;
	int minor = c->name.major == 3 ? c->name.minor : -1;
	int rc = image_find(im, "Py_Version", &address, &unused);

	if (rc == 0)
		rc = memory_read_u64(r->pid, address, &version);
	if (rc == 0) {
		r->version = (uint32_t)version;
		r->micro_known = true;
		return version >> 24 == 3 ? PYTHON_READABLE : PYTHON_UNKNOWN_VERSION;
	}
	if (state_of(rc, PYTHON_READABLE) != PYTHON_READABLE)
		return state_of(rc, PYTHON_READABLE);
	if (minor < 0)
		minor = minor_of_size(size);
	if (minor < 0)
		minor = candidates_hint(maps);
	if (minor < 0)
		return PYTHON_UNKNOWN_VERSION;
	r->version = 0x03000000u | (uint32_t)minor << 16;
	if (layout_find((unsigned)minor))
		r->micro_known =
			micro_find(r->pid, maps, c->map, (unsigned)minor, &r->version) == 0;
	return PYTHON_READABLE;
}

static enum python_state identify(const struct image *im, const struct candidate *c,
				  const struct maps *maps, uint64_t size, struct runtime *r,
				  struct error *err)
{
	struct offsets o;
	enum python_state state;
	int rc = offsets_read(r->pid, r->address, &o);

	if (rc == 0 || rc == -ENOTSUP) {
		r->version = o.version;
		r->micro_known = true;
		if (o.free_threaded)
			return tell(err, PYTHON_FREE_THREADED, NULL);
		if (rc == -ENOTSUP)
			return tell(err, PYTHON_UNKNOWN_VERSION, NULL);
		return check_rows(r, &o, err);
	}
	if (rc != -ENOENT)
		return tell(err, state_of(rc, PYTHON_UNKNOWN_LAYOUT), NULL);
	state = read_version(im, c, maps, size, r);
	if (state != PYTHON_READABLE)
		return tell(err, state, NULL);
	if ((r->version >> 16 & 0xff) < OLDEST_MINOR)
		return tell(err, PYTHON_TOO_OLD, NULL);
	if (!layout_find(r->version >> 16 & 0xff))
		return tell(err, PYTHON_UNKNOWN_VERSION, NULL);
	return check_rows(r, NULL, err);
}

/* ---- the search ---- */

/* The second way: the file, where the dynamic symbols do not tell and where it may be read. The
 * section is in builds from 3.10 on; symbols are left where a file was not stripped, and looked for
 * only in what seems to be a CPython. */
static int find_in_file(const struct image *im, const struct candidate *c, const struct maps *maps,
			uint64_t *ret_address, uint64_t *ret_size)
{
	auto_close int fd = objfile_open(im->pid, c->map, c->is_program);
	uint64_t vaddr;
	int rc;

	if (fd < 0)
		return fd;
	rc = objfile_section(fd, ".PyRuntime", &vaddr, ret_size);
	if (rc < 0 && (c->name.is_python || candidates_hint(maps) >= 0))
		rc = objfile_symbol(fd, "_PyRuntime", &vaddr, ret_size);
	if (rc == 0)
		*ret_address = im->bias + vaddr;
	return rc;
}

/* What to say of an object in which it was not found. */
static enum python_state judge_absence(const struct image *im, const struct candidate *c,
				       struct error *err)
{
	const struct python_name *n = &c->name;
	bool numbered = n->major == 3 && n->minor >= 0;

	if (n->other)
		return tell(err, PYTHON_OTHER_PYTHON, NULL);
	if (n->major == 2 || (numbered && n->minor < OLDEST_MINOR))
		return tell(err, PYTHON_TOO_OLD, NULL);
	if (n->major == 3 && image_needs(im, "libpython3."))
		return tell(err, PYTHON_STARTING, "its libpython is not mapped yet");
	if (numbered && (c->is_program || c->is_library))
		return tell(err, PYTHON_UNKNOWN_LAYOUT, "it has no _PyRuntime that can be found");
	return tell(err, PYTHON_NOT_PYTHON, NULL);
}

static enum python_state judge_image(int rc, const struct candidate *c, struct error *err)
{
	if (rc == -EXDEV && c->name.is_python)
		return tell(err, PYTHON_OTHER_MACHINE, NULL);
	if (c->name.other)
		return tell(err, PYTHON_OTHER_PYTHON, NULL);
	return tell(err, state_of(rc, PYTHON_NOT_PYTHON), NULL);
}

static enum python_state try_candidate(pid_t pid, const struct candidate *c,
				       const struct maps *maps, struct runtime *ret,
				       struct error *err)
{
	struct runtime r = {.pid = pid, .image = c->map->start};
	const char *slash = strrchr(c->map->path, '/');
	enum python_state state;
	struct image im;
	uint64_t size;
	uint64_t unused;
	int rc = image_open(pid, c->map->start, &im);

	if (rc < 0)
		return judge_image(rc, c, err);
	rc = image_find(&im, "_PyRuntime", &r.address, &size);
	if (rc < 0 && state_of(rc, PYTHON_NOT_PYTHON) != PYTHON_NOT_PYTHON)
		return tell(err, state_of(rc, PYTHON_NOT_PYTHON), NULL);
	if (rc < 0 && find_in_file(&im, c, maps, &r.address, &size) < 0)
		return judge_absence(&im, c, err);
	/* only builds that count references export it */
	if (image_find(&im, "_Py_NegativeRefcount", &unused, &unused) == 0)
		return tell(err, PYTHON_DEBUG_BUILD, NULL);
	state = identify(&im, c, maps, size, &r, err);
	str_safe(r.file, sizeof(r.file), slash ? slash + 1 : c->map->path,
		 strlen(slash ? slash + 1 : c->map->path));
	if (state == PYTHON_READABLE)
		*ret = r;
	return state;
}

static enum python_state search(pid_t pid, const struct maps *maps, struct runtime *ret,
				struct error *err)
{
	struct candidate list[CANDIDATES_MAX];
	unsigned n = candidates_list(pid, maps, list);
	enum python_state best = tell(err, PYTHON_NOT_PYTHON, NULL);

	for (unsigned i = 0; i < n; i++) {
		struct error why = {0};
		enum python_state state = try_candidate(pid, &list[i], maps, ret, &why);

		if (state == PYTHON_READABLE)
			return state;
		if (best != PYTHON_NOT_PYTHON || state == PYTHON_NOT_PYTHON)
			continue;
		best = state;
		if (err)
			*err = why;
	}
	return best;
}

enum python_state runtime_find(pid_t pid, const struct maps *maps, struct runtime *ret,
			       struct error *err)
{
	struct maps own = {0};
	enum python_state state;
	int rc;

	if (maps)
		return search(pid, maps, ret, err);
	rc = maps_load(pid, &own, err);
	if (rc == -ENOENT)
		rc = -ESRCH;
	if (rc < 0)
		return tell(err, state_of(rc, PYTHON_DENIED), NULL);
	state = search(pid, &own, ret, err);
	maps_fini(&own);
	return state;
}
