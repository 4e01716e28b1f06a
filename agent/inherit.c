/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inherit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define INSTANCE "instances/memherd"

/* Where what lies in a datagram: nlmsghdr, cn_msg, proc_event. */
#define AT_EVENT  (sizeof(struct nlmsghdr) + sizeof(struct cn_msg))
#define AT(field) (AT_EVENT + offsetof(struct proc_event, field))

/* include/linux/proc_ns.h: the same number since Linux 3.8. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCu

/* A burst of exits waits here while sense is busy or being started again. */
#define EXITS_BUFFER (1 << 20)

/* Only ends of whole processes wake us: every fork, exec and thread of the host comes this way.
 * The kernel loads words in network order, they lie in the host's. */
static int only_exits(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(what)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXIT), 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.exit.process_pid)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.exit.process_tgid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static int listen_in(int fd)
{
	struct {
		struct nlmsghdr nl;
		struct cn_msg cn;
		enum proc_cn_mcast_op op;
	} __attribute__((packed, aligned(NLMSG_ALIGNTO))) m = {
		.nl = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_DONE},
		.cn = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(enum proc_cn_mcast_op)},
		.op = PROC_CN_MCAST_LISTEN,
	};

	return send(fd, &m, sizeof(m), 0) < 0 ? -errno : 0;
}

/* The kernel ignores listeners of other PID namespaces without a word. */
static bool may_be_told(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == FIRST_PID_NAMESPACE;
}

int inherit_exits(void)
{
	struct sockaddr_nl self = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	const int room = EXITS_BUFFER;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	int rc;

	if (fd < 0)
		return -errno;
	if (!may_be_told())
		return -EOPNOTSUPP;
	rc = only_exits(fd);
	if (rc == 0 && bind(fd, (const void *)&self, sizeof(self)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = listen_in(fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	/* Without the right to more the default has to do: what does not fit is told as a gap. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return fd;
}

/* ---- the tracepoint ---- */

static int write_file(const char *root, const char *name, const char *text)
{
	char path[PATH_MAX];
	auto_close int fd = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/" INSTANCE "/%s", root, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int inherit_trace(const char *path)
{
	char full[PATH_MAX];
	int rc;

	if ((size_t)snprintf(full, sizeof(full), "%s/" INSTANCE, path) >= sizeof(full))
		return -ENAMETOOLONG;
	/* One that an agent left behind serves as well. */
	if (mkdir(full, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* A line a kill: the default of 1.4 MiB a processor is not needed. */
	rc = write_file(path, "buffer_size_kb", "16");
	/* Wakes at once, not when the buffer is half full; older kernels have no such file. */
	(void)!write_file(path, "buffer_percent", "0");
	if (rc == 0)
		rc = write_file(path, "events/oom/mark_victim/enable", "1");
	if (rc == 0 && (size_t)snprintf(full, sizeof(full), "%s/" INSTANCE "/trace_pipe", path) <
			       sizeof(full)) {
		rc = open(full, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		rc = rc < 0 ? -errno : rc;
	}
	if (rc < 0)
		inherit_trace_end(path);
	return rc;
}

void inherit_trace_end(const char *path)
{
	char full[PATH_MAX];

	if ((size_t)snprintf(full, sizeof(full), "%s/" INSTANCE, path) < sizeof(full))
		(void)!rmdir(full);
}
