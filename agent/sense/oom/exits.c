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
	 sizeof(((struct proc_event *)0)->event_data.exit.exit_signal))

#define AT_CN    NLMSG_HDRLEN
#define AT_EVENT (AT_CN + sizeof(struct cn_msg))

int exits_parse(const void *data, size_t len, struct exit_news *ret)
{
	const char *p = data;
	struct nlmsghdr nl;
	struct cn_msg cn;
	struct proc_event e = {.what = 0};

	if (len < AT_EVENT + EXIT_SIZE)
		return -EBADMSG;
	/* None of them need lie aligned. */
	memcpy(&nl, p, sizeof(nl));
	memcpy(&cn, p + AT_CN, sizeof(cn));
	memcpy(&e, p + AT_EVENT, MIN_OF(len - AT_EVENT, sizeof(e)));
	if (nl.nlmsg_len > len || nl.nlmsg_len < AT_EVENT + EXIT_SIZE ||
	    nl.nlmsg_type != NLMSG_DONE || cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC ||
	    cn.len < EXIT_SIZE || (uint32_t)e.what != PROC_EVENT_EXIT)
		return -EBADMSG;
	if (e.event_data.exit.process_pid <= 0 ||
	    e.event_data.exit.process_pid != e.event_data.exit.process_tgid)
		return -EBADMSG;
	*ret = (struct exit_news){
		.pid = (uint32_t)e.event_data.exit.process_pid,
		.wait_status = e.event_data.exit.exit_code,
		.t_ns = e.timestamp_ns,
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
