/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names/names.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/names/client.h"
#include "agent/names/engine.h"
#include "common/log.h"

static const char *const usual[NAMES_SOCKETS_MAX] = {
	"/run/docker.sock",
	"/run/podman/podman.sock",
};

size_t names_sockets(const char *option, const char *ret[NAMES_SOCKETS_MAX])
{
	if (strcmp(option, "off") == 0)
		return 0;
	if (strcmp(option, "auto") != 0) {
		ret[0] = option;
		return 1;
	}
	memcpy(ret, usual, sizeof(usual));
	return NAMES_SOCKETS_MAX;
}

const char *names_refuse_option(const char *option)
{
	if (strcmp(option, "off") == 0 || strcmp(option, "auto") == 0)
		return NULL;
	if (*option == '/' && strlen(option) < sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return NULL;
	return "off, auto or the path of a Unix socket of at most 107 bytes";
}

size_t names_groups(const char *option, gid_t ret[NAMES_SOCKETS_MAX])
{
	const char *sockets[NAMES_SOCKETS_MAX];
	size_t n = names_sockets(option, sockets);
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (stat(sockets[i], &st) == 0 && S_ISSOCK(st.st_mode) && st.st_gid != 0 &&
		    (st.st_mode & S_IWGRP))
			ret[found++] = st.st_gid;
	}
	return found;
}

/* Would a new process get a group that we do not have? */
static bool groups_changed(const char *option)
{
	gid_t want[NAMES_SOCKETS_MAX];
	gid_t have[64];
	size_t n = names_groups(option, want);
	int n_have = getgroups(ARRAY_SIZE(have), have);

	for (size_t i = 0; i < n; i++) {
		bool held = want[i] == getegid();

		for (int k = 0; k < n_have; k++)
			held = held || have[k] == want[i];
		if (!held)
			return true;
	}
	return false;
}

static int ask_one(const char *socket_path, const struct names_question *q,
		   struct names_answer *ret, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(ENGINE_ANSWER_MAX);
	int r = engine_ask(socket_path, q->id, ENGINE_DEADLINE_US, &b, err);

	return r < 0 ? r : engine_parse(b.data, b.len, q->id, ret, err);
}

void names_resolve(const char *const *sockets, size_t n, const struct names_question *q,
		   struct names_answer *ret, struct error *err)
{
	enum names_status status = NAMES_TROUBLE;

	for (size_t i = 0; i < n; i++) {
		int r = ask_one(sockets[i], q, ret, err);

		if (r == 0)
			return;
		/* the engine's word, not that of a socket which is not there */
		if (r == -ENOENT && access(sockets[i], F_OK) == 0)
			status = NAMES_UNKNOWN;
	}
	*ret = (struct names_answer){.status = status};
	memcpy(ret->id, q->id, sizeof(ret->id));
}

/* Is there a question? 0 at the end, -EBADMSG for what is none. */
static int next_question(int fd, struct names_question *ret)
{
	ssize_t len;

	do
		len = recv(fd, ret, sizeof(*ret), MSG_TRUNC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return 0;
	return len == (ssize_t)sizeof(*ret) && names_is_id(ret->id, sizeof(ret->id)) ? 1 : -EBADMSG;
}

int names_run(const char *option, int fd)
{
	const char *sockets[NAMES_SOCKETS_MAX];
	size_t n = names_sockets(option, sockets);
	bool trouble = false;
	struct names_question q;
	int r;

	log_info("started engine=%s", option);
	while ((r = next_question(fd, &q)) != 0) {
		struct names_answer a;
		struct error err = {""};

		if (r < 0) {
			log_error("bad_question");
			continue;
		}
		names_resolve(sockets, n, &q, &a, &err);
		/* who asked may be gone or busy: it asks again */
		(void)!send(fd, &a, sizeof(a), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (a.status == NAMES_TROUBLE && !trouble)
			log_warn("engine_trouble id=%.12s error=\"%s\"", q.id, err.msg);
		trouble = a.status == NAMES_TROUBLE;
		if (trouble && groups_changed(option)) {
			log_warn("groups_changed engine=%s", option);
			return 1;
		}
	}
	return 0;
}
