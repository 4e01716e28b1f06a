/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/support/test.h"

#define MOST 64

struct world {
	struct event_base *base;
	struct listener *l;
	int client[MOST];
	size_t n_clients;
	int fd[MOST];
	struct admission admission[MOST];
	size_t n;
};

static void on_admitted(void *arg, int fd, const struct admission *a)
{
	struct world *w = arg;

	w->fd[w->n] = fd;
	w->admission[w->n++] = *a;
}

static void begin(struct world *w, const struct listener_limits *limits)
{
	struct error err = {""};

	*w = (struct world){.base = event_base_new()};
	if (listener_new(w->base, "127.0.0.1:0", limits, on_admitted, w, &w->l, &err) < 0)
		fail_msg("%s", err.msg);
}

static void end(struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		close(w->fd[i]);
	for (size_t i = 0; i < w->n_clients; i++)
		close(w->client[i]);
	listener_free(&w->l);
	event_base_free(w->base);
}

static void knock(struct world *w, size_t times)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(listener_port(w->l)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (; times; times--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		w->client[w->n_clients++] = fd;
	}
	for (int i = 0; i < 20; i++) {
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static void a_burst_is_admitted_and_then_a_trickle(void **state unused_arg)
{
	struct world w;

	begin(&w, &(struct listener_limits){.per_second = 5,
					    .max_open = 100,
					    .max_new_per_address = 100});
	knock(&w, 12);
	assert_int_equal(w.n, 5);
	assert_int_equal(listener_refused(w.l), 7);
	usleep(450 * 1000);
	knock(&w, 10);
	assert_in_range(w.n, 7, 8); /* two tokens came, a third may have */
	end(&w);
}

static void who_is_refused_is_closed(void **state unused_arg)
{
	struct world w;
	char c;

	begin(&w, &(struct listener_limits){.per_second = 100,
					    .max_open = 1,
					    .max_new_per_address = 100});
	knock(&w, 2);
	assert_int_equal(w.n, 1);
	assert_int_equal(recv(w.client[1], &c, 1, 0), 0);
	assert_int_equal(recv(w.client[0], &c, 1, MSG_DONTWAIT), -1);
	end(&w);
}

static void an_end_makes_room(void **state unused_arg)
{
	struct world w;

	begin(&w, &(struct listener_limits){.per_second = 100,
					    .max_open = 2,
					    .max_new_per_address = 100});
	knock(&w, 3);
	assert_int_equal(w.n, 2);
	listener_closed(&w.admission[0]);
	knock(&w, 2);
	assert_int_equal(w.n, 3);
	end(&w);
}

static void an_address_has_so_many_that_were_not_greeted(void **state unused_arg)
{
	struct world w;

	begin(&w, &(struct listener_limits){.per_second = 100,
					    .max_open = 100,
					    .max_new_per_address = 2});
	knock(&w, 3);
	assert_int_equal(w.n, 2);
	listener_greeted(&w.admission[0]);
	listener_greeted(&w.admission[0]); /* told twice, counted once */
	knock(&w, 2);
	assert_int_equal(w.n, 3);
	/* The end of one that was greeted gives back nothing more. */
	listener_closed(&w.admission[0]);
	knock(&w, 1);
	assert_int_equal(w.n, 3);
	/* That of one that was not, does. */
	listener_closed(&w.admission[1]);
	knock(&w, 2);
	assert_int_equal(w.n, 4);
	end(&w);
}

static void a_stopped_port_still_counts(void **state unused_arg)
{
	struct world w;

	begin(&w, &(struct listener_limits){.per_second = 100,
					    .max_open = 100,
					    .max_new_per_address = 100});
	knock(&w, 1);
	listener_stop(w.l);
	listener_stop(w.l);
	listener_closed(&w.admission[0]);
	listener_stop(NULL);
	end(&w);
}

static void bad_addresses_are_told(void **state unused_arg)
{
	static const char *const bad[] = {"", "host", "127.0.0.1:http", "256.0.0.1:1", "[::1:1"};
	const struct listener_limits limits = {1, 1, 1};
	struct event_base *base = event_base_new();
	struct listener *l = NULL, *second = NULL;
	struct error err = {""};
	char taken[32];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(listener_new(base, bad[i], &limits, on_admitted, NULL, &l, &err),
				 -EINVAL);
		assert_says(err, "address '");
		assert_null(l);
	}
	assert_int_equal(listener_new(base, ":0", &limits, on_admitted, NULL, &l, &err), 0);
	snprintf(taken, sizeof(taken), "0.0.0.0:%u", listener_port(l));
	assert_int_equal(listener_new(base, taken, &limits, on_admitted, NULL, &second, &err),
			 -EADDRINUSE);
	assert_says(err, taken);
	listener_free(&l);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_admitted_and_then_a_trickle),
		cmocka_unit_test(who_is_refused_is_closed),
		cmocka_unit_test(an_end_makes_room),
		cmocka_unit_test(an_address_has_so_many_that_were_not_greeted),
		cmocka_unit_test(a_stopped_port_still_counts),
		cmocka_unit_test(bad_addresses_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
