/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/exits.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

/* Newer kernels tell more of an exit, older ones end here. */
#define EXIT_SIZE                                                   \
	(offsetof(struct proc_event, event_data.exit.exit_signal) + \
	 sizeof(((struct proc_event *)NULL)->event_data.exit.exit_signal))

/* A field of a struct at a place that need not be aligned. */
#define FIELD(data, at, type, field)                                            \
	(__extension__({                                                        \
		__typeof__(((type *)NULL)->field) v_;                           \
		memcpy(&v_, (data) + (at) + offsetof(type, field), sizeof(v_)); \
		v_;                                                             \
	}))

#define AT_CN    NLMSG_HDRLEN
#define AT_EVENT (AT_CN + sizeof(struct cn_msg))

int exits_parse(const void *data, size_t len, struct exit_news *ret)
{
	const char *p = data;
	struct cb_id id;
	uint32_t pid;

	if (len < AT_EVENT + EXIT_SIZE || FIELD(p, 0, struct nlmsghdr, nlmsg_len) > len ||
	    FIELD(p, 0, struct nlmsghdr, nlmsg_len) < AT_EVENT + EXIT_SIZE ||
	    FIELD(p, 0, struct nlmsghdr, nlmsg_type) != NLMSG_DONE)
		return -EBADMSG;
	id = FIELD(p, AT_CN, struct cn_msg, id);
	if (id.idx != CN_IDX_PROC || id.val != CN_VAL_PROC ||
	    FIELD(p, AT_CN, struct cn_msg, len) < EXIT_SIZE ||
	    (uint32_t)FIELD(p, AT_EVENT, struct proc_event, what) != PROC_EVENT_EXIT)
		return -EBADMSG;
	pid = (uint32_t)FIELD(p, AT_EVENT, struct proc_event, event_data.exit.process_pid);
	if (!pid || pid > INT32_MAX ||
	    pid != (uint32_t)FIELD(p, AT_EVENT, struct proc_event, event_data.exit.process_tgid))
		return -EBADMSG;
	*ret = (struct exit_news){
		.pid = pid,
		.wait_status = FIELD(p, AT_EVENT, struct proc_event, event_data.exit.exit_code),
		.t_ns = FIELD(p, AT_EVENT, struct proc_event, timestamp_ns),
	};
	return 0;
}

int exits_next(int fd, struct exit_news *ret)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	char data[512];
	ssize_t n = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (void *)&from, &from_len);

	if (n < 0 && errno == EAGAIN)
		return EXITS_NONE;
	if (n < 0 && errno == ENOBUFS)
		return EXITS_GAP;
	if (n < 0 && errno == EINTR)
		return EXITS_OTHER;
	if (n < 0)
		return -errno;
	/* Any user may send to a netlink socket: only the kernel's port is 0. */
	if (from_len != sizeof(from) || from.nl_family != AF_NETLINK || from.nl_pid != 0)
		return EXITS_OTHER;
	return exits_parse(data, (size_t)n, ret) == 0 ? EXITS_NEWS : EXITS_OTHER;
}
