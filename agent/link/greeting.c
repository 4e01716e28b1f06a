/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/greeting.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

/* proc(5): 36 characters of a UUID and a line end. */
static int read_boot_id(const char *proc_path, uint8_t id[16], struct error *err)
{
	auto_close int proc = open(proc_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[UUID_TEXT_SIZE + 2];
	int n = proc < 0 ? -errno
			 : fs_read_small(proc, "sys/kernel/random/boot_id", text, sizeof(text));

	if (n < 0)
		return error_sys(err, n, "cannot read '%s/sys/kernel/random/boot_id'", proc_path);
	if (uuid_parse(id, str_trim(text)) < 0)
		return error_set(err, -EINVAL, "'%s/sys/kernel/random/boot_id' holds no id",
				 proc_path);
	return 0;
}

void greeting_boot_id(const struct agent_options *o, uint8_t ret[16])
{
	struct error err;

	if (read_boot_id(o->proc_path, ret, &err) < 0)
		memset(ret, 0, 16);
}

static void name_host(const struct agent_options *o, char *out, size_t size)
{
	char raw[256] = "";

	if (*o->host_name)
		str_copy(raw, sizeof(raw), o->host_name);
	else if (gethostname(raw, sizeof(raw) - 1) < 0 || !*raw)
		str_copy(raw, sizeof(raw), "localhost");
	str_safe(out, size, raw, strlen(raw));
}

int greeting_hello(const struct agent_options *o, const struct link_start *start,
		   const struct lanes *lanes, bool act, struct buf *out, struct error *err)
{
	struct wire_epoch epochs[LANES_MAX];
	char host[WIRE_NAME_MAX + 1];
	char kernel[WIRE_NAME_MAX + 1] = "";
	struct utsname uts;
	struct wire_hello hello = {
		.proto_min = WIRE_PROTO,
		.proto_max = WIRE_PROTO,
		.features = WIRE_PATIENT,
		.version = MEMHERD_VERSION,
		.host_name = host,
		.kernel = kernel,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.clock_ticks = (uint32_t)sysconf(_SC_CLK_TCK),
		.cpus = (uint32_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L),
		.interval_ms = (uint32_t)(o->interval / 1000),
		.act = act,
		.t_wall_us = clock_wall_us(),
		.t_boot_us = (uint64_t)clock_boot_us(),
		.epochs = epochs,
		.n_epochs = lanes->n,
		.prev_epoch = start->prev_epochs[LANE_SAMPLES],
		.prev_urgent_epoch = start->prev_epochs[LANE_URGENT],
		.prev_clean = start->prev_clean,
	};
	int rc = read_boot_id(o->proc_path, hello.boot_id, err);

	if (rc < 0)
		return rc;
	lanes_epochs(lanes, epochs);
	name_host(o, host, sizeof(host));
	if (uname(&uts) == 0)
		str_safe(kernel, sizeof(kernel), uts.release, strlen(uts.release));
	wire_pack_hello(out, &hello);
	return buf_status(out) < 0 ? error_set(err, -ENOBUFS, "Hello is too large") : 0;
}

/* How often HelloAck names the stream. */
static size_t find_epoch(const struct wire_hello_ack *ack, uint64_t epoch, uint64_t *ret_last_seq)
{
	size_t found = 0;

	for (size_t i = 0; i < ack->n_epochs; i++) {
		if (ack->epochs[i].epoch != epoch)
			continue;
		*ret_last_seq = ack->epochs[i].seq_max;
		found++;
	}
	return found;
}

int greeting_judge(const struct wire_hello_ack *ack, const struct lanes *lanes,
		   uint64_t ret_last_seq[LANES_MAX], uint32_t *ret_heartbeat_ms, struct error *err)
{
	uint64_t last[LANES_MAX] = {0};

	if (ack->proto != WIRE_PROTO)
		return error_set(err, -EPROTO, "collector speaks protocol %u, expected %u",
				 (unsigned)ack->proto, WIRE_PROTO);
	if (ack->heartbeat_ms < GREETING_HEARTBEAT_MIN_MS ||
	    ack->heartbeat_ms > GREETING_HEARTBEAT_MAX_MS)
		return error_set(err, -EBADMSG, "HelloAck: heartbeat of %u ms, expected %d to %d",
				 (unsigned)ack->heartbeat_ms, GREETING_HEARTBEAT_MIN_MS,
				 GREETING_HEARTBEAT_MAX_MS);
	for (size_t i = 0; i < lanes->n; i++) {
		size_t found = find_epoch(ack, lanes->of[i].epoch, &last[i]);

		if (found != 1)
			return error_set(err, -EBADMSG, "HelloAck names our stream '%s' %zu times",
					 lane_name(lanes->of[i].kind), found);
	}
	memcpy(ret_last_seq, last, sizeof(last));
	*ret_heartbeat_ms = ack->heartbeat_ms;
	return 0;
}
