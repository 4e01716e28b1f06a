/* SPDX-License-Identifier: Apache-2.0 */
/* The relay against a memherd-actd that the test plays: what comes beside an answer is taken only
 * as a sealed file that is a census. */
#include "agent/link/relay.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/record.h"
#include "common/clock.h"
#include "proto/command_param.h"
#include "tests/support/test.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct play {
	struct event_base *base;
	struct relay *relay;
	char path[64];
	int listener;
	const void *body; /* what the next answer brings along */
	size_t len;
	const struct command_warrant *warrant; /* goes with the command; NULL = none does */
	int seals;
	enum command_action asked; /* 0: nothing that makes sense */
	enum wire_record kind;
	unsigned starts;
	unsigned results;
	unsigned bodies;
	unsigned refused;
	unsigned order; /* results at the time of the last body */
	char why[128];
	uint8_t got[256];
	size_t got_len;
	int64_t t_wall_us;
};

static void on_done(void *arg, const uint8_t result[COMMAND_RESULT_SIZE] unused_arg)
{
	struct play *p = arg;

	p->results++;
	event_base_loopbreak(p->base);
}

static void on_body(void *arg, enum wire_record kind, const uint8_t *body, size_t len,
		    int64_t t_wall_us, const char *why)
{
	struct play *p = arg;

	p->order = p->results;
	p->kind = kind;
	snprintf(p->why, sizeof(p->why), "%s", why);
	if (!body) {
		p->refused++;
		return;
	}
	p->bodies++;
	p->t_wall_us = t_wall_us;
	p->got_len = len;
	memcpy(p->got, body, MIN_OF(len, sizeof(p->got)));
}

static void on_start(void *arg, const struct command_request *q unused_arg)
{
	struct play *p = arg;

	p->starts++;
}

static const struct relay_ops ops = {.start = on_start, .done = on_done, .body = on_body};

static int make_file(const struct play *p)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p->body, p->len), (ssize_t)p->len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, p->seals), 0);
	return fd;
}

static void on_client(evutil_socket_t listener, short what unused_arg, void *arg)
{
	struct play *p = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct command_request request;
	struct command_result result = {.status = COMMAND_DONE, .detail = "done"};
	uint8_t answer[COMMAND_RESULT_SIZE];
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = answer, .iov_len = sizeof(answer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int file = -1;

	assert_int_equal(recv(fd, &request, sizeof(request), 0),
			 p->warrant ? COMMAND_REQUEST_SIGNED_SIZE : COMMAND_REQUEST_SIZE);
	if (p->warrant)
		assert_memory_equal(&request.warrant, p->warrant, sizeof(*p->warrant));
	command_result_pack(answer, &result);
	if (p->body) {
		struct cmsghdr *head = (struct cmsghdr *)(void *)control;

		file = make_file(p);
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(head), &file, sizeof(file));
	}
	assert_int_equal(sendmsg(fd, &msg, 0), sizeof(answer));
	if (file >= 0)
		close(file);
	close(fd);
}

static int set_up(void **state)
{
	struct play *p = calloc(1, sizeof(*p));
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(p->path, sizeof(p->path), "/tmp/relay-test-%d", (int)getpid());
	unlink(p->path);
	memcpy(a.sun_path, p->path, sizeof(p->path));
	p->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 4), 0);
	p->base = event_base_new();
	assert_int_equal(relay_new(p->base, p->path, &ops, p, &p->relay), 0);
	p->seals = SEALS;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct play *p = *state;

	relay_free(&p->relay);
	event_base_free(p->base);
	close(p->listener);
	unlink(p->path);
	free(p);
	return 0;
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* One command and its answer. */
static void submit(struct play *p, const void *body, size_t len)
{
	uint8_t bytes[COMMAND_SIZE] = {0};
	struct wire_command c = {.body = {bytes, sizeof(bytes)},
				 .signature = {bytes, 64},
				 .warrant = {(const uint8_t *)p->warrant,
					     p->warrant ? sizeof(*p->warrant) : 0}};
	struct event *client = event_new(p->base, p->listener, EV_READ | EV_PERSIST, on_client, p);
	unsigned before = p->results;
	unsigned fds = count_fds();
	struct error err = {""};

	if (p->asked) {
		struct command asked = {.action = p->asked, .pid = 77};

		command_params_preset(p->asked, asked.params);
		command_pack(bytes, &asked);
	}
	p->body = body;
	p->len = len;
	event_add(client, NULL);
	assert_int_equal(relay_submit(p->relay, &c, &err), 0);
	event_base_loopexit(p->base, &(struct timeval){.tv_sec = 10});
	event_base_dispatch(p->base);
	event_free(client);
	assert_int_equal(p->results, before + 1);
	assert_int_equal(p->starts, before + 1);
	assert_int_equal(count_fds(), fds);
}

static void pack_census(struct buf *b, int64_t t_wall_us)
{
	struct wire_census_type type = {"app.Thing", 7, 700};
	struct wire_census c = {.t_wall_us = t_wall_us,
				.pid = 77,
				.start_ticks = 5,
				.objects = 7,
				.bytes = 700,
				.types_total = 1,
				.types = &type,
				.n_types = 1,
				.note = ""};

	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	buf_init(b, 4096);
	wire_pack_census(b, &c);
	assert_int_equal(buf_status(b), 0);
}

static void test_a_census_comes_before_its_answer(void **state)
{
	struct play *p = *state;
	int64_t now = clock_wall_us();
	auto_buf struct buf b;

	pack_census(&b, now);
	submit(p, b.data, b.len);
	assert_int_equal(p->bodies, 1);
	assert_int_equal(p->order, 0);
	assert_int_equal(p->got_len, b.len);
	assert_memory_equal(p->got, b.data, b.len);
	assert_true(p->t_wall_us == now);
}

static void test_a_snapshot_is_what_its_command_makes(void **state)
{
	struct play *p = *state;
	struct wire_snapshot_row row = {"app.py:1", "", {1, 2, 3, 4}};
	struct wire_snapshot s = {.t_wall_us = clock_wall_us(),
				  .pid = 77,
				  .kind = SNAPSHOT_TRACEMALLOC,
				  .subject = "",
				  .rows = &row,
				  .n_rows = 1,
				  .note = ""};
	auto_buf struct buf b = BUF_INIT(4096);
	auto_buf struct buf census;

	wire_pack_snapshot(&b, &s);
	p->asked = COMMAND_TRACEMALLOC;
	submit(p, b.data, b.len);
	assert_int_equal(p->bodies, 1);
	assert_int_equal(p->kind, WIRE_SNAPSHOT);
	assert_true(p->t_wall_us == s.t_wall_us);
	pack_census(&census, s.t_wall_us);
	submit(p, census.data, census.len);
	assert_int_equal(p->refused, 1);
	p->asked = COMMAND_CENSUS;
	submit(p, b.data, b.len);
	assert_int_equal(p->refused, 2);
	submit(p, census.data, census.len);
	assert_int_equal(p->bodies, 2);
	assert_int_equal(p->kind, WIRE_CENSUS);
}

static void test_an_answer_alone_is_as_before(void **state)
{
	struct play *p = *state;

	submit(p, NULL, 0);
	submit(p, NULL, 0);
	assert_int_equal(p->bodies + p->refused, 0);
}

static void test_what_is_no_sealed_census_is_refused(void **state)
{
	struct play *p = *state;
	static uint8_t big[RECORD_MAX_BODY + 1];
	auto_buf struct buf b;

	pack_census(&b, clock_wall_us());
	p->seals = F_SEAL_SHRINK | F_SEAL_GROW;
	submit(p, b.data, b.len);
	assert_string_equal(p->why, "the file is not sealed");
	p->seals = SEALS;
	submit(p, big, sizeof(big));
	assert_non_null(strstr(p->why, "at most"));
	submit(p, b.data, 0);
	assert_non_null(strstr(p->why, "0 bytes"));
	submit(p, "nonsense", 8);
	assert_int_equal(p->refused, 4);
	assert_int_equal(p->bodies, 0);
	submit(p, b.data, b.len);
	assert_int_equal(p->bodies, 1);
}

static void test_what_an_operator_signed_goes_along(void **state)
{
	struct play *p = *state;
	struct command_warrant w;
	uint8_t bytes[COMMAND_SIZE] = {0};
	const struct wire_command wrong = {.body = {bytes, sizeof(bytes)},
					   .signature = {bytes, 64},
					   .warrant = {bytes, sizeof(w) - 1}};
	struct error err;

	for (size_t i = 0; i < sizeof(w); i++)
		((uint8_t *)&w)[i] = (uint8_t)i;
	p->warrant = &w;
	submit(p, NULL, 0);
	p->warrant = NULL;
	submit(p, NULL, 0);
	assert_int_equal(relay_submit(p->relay, &wrong, &err), -EBADMSG);
	assert_says(err, "191 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_census_comes_before_its_answer, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_an_operator_signed_goes_along, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_snapshot_is_what_its_command_makes, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_an_answer_alone_is_as_before, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_sealed_census_is_refused, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
