/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "proto/wire.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

struct fixture {
	struct arena arena;
	struct buf b;
	struct error err;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	buf_init(&f->b, (size_t)4 << 20);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->arena);
	buf_fini(&f->b);
	free(f);
	return 0;
}

/* Unpacks what lies in f->b with the budget that a real receiver gives. */
#define UNPACK(f, name, ret)                                                              \
	(__extension__({                                                                  \
		arena_fini(&(f)->arena);                                                  \
		arena_init(&(f)->arena, WIRE_BUDGET((f)->b.len));                         \
		wire_unpack_##name(&(f)->arena, (f)->b.data, (f)->b.len, ret, &(f)->err); \
	}))
#define PACK(f, name, m)                                  \
	do {                                              \
		buf_reset(&(f)->b);                       \
		wire_pack_##name(&(f)->b, m);             \
		assert_int_equal(buf_status(&(f)->b), 0); \
	} while (0)
#define REFUSED(f, name, m, why)                                    \
	do {                                                        \
		struct wire_##name got_;                            \
		PACK(f, name, m);                                   \
		assert_int_equal(UNPACK(f, name, &got_), -EBADMSG); \
		assert_says((f)->err, why);                         \
	} while (0)

static struct wire_epoch two_epochs[] = {{7, 1, 500}, {UINT64_MAX, 1, 0}};

static struct wire_hello good_hello(void)
{
	return (struct wire_hello){
		.proto_min = 1,
		.proto_max = 1,
		.version = "0.1.0",
		.host_name = "vps-1.example",
		.kernel = "6.1.0",
		.boot_id = {1, 2, 3},
		.page_size = 4096,
		.clock_ticks = 100,
		.interval_ms = 1000,
		.cpus = 2,
		.act = true,
		.t_wall_us = 1763860000000000,
		.t_boot_us = 12345,
		.epochs = two_epochs,
		.n_epochs = 2,
		.prev_epoch = 7,
		.prev_urgent_epoch = 8,
		.prev_clean = true,
	};
}

static void hello_comes_back(void **state)
{
	struct fixture *f = *state;
	struct wire_hello m = good_hello(), r;

	PACK(f, hello, &m);
	assert_int_equal(UNPACK(f, hello, &r), 0);
	assert_string_equal(r.host_name, m.host_name);
	assert_string_equal(r.version, m.version);
	assert_memory_equal(r.boot_id, m.boot_id, 16);
	assert_int_equal(r.t_wall_us, m.t_wall_us);
	assert_int_equal(r.n_epochs, 2);
	assert_memory_equal(r.epochs, two_epochs, sizeof(two_epochs));
	assert_true(r.act && r.prev_clean);
	assert_int_equal(r.prev_epoch, 7);
	assert_int_equal(r.prev_urgent_epoch, 8);
}

static void bad_hellos_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_epoch zero[] = {{0, 1, 1}}, twice[] = {{5, 1, 1}, {5, 1, 1}};
	struct wire_epoch crossed[] = {{5, 9, 3}}, far[] = {{5, 1, UINT64_MAX}};
	char long_name[WIRE_NAME_MAX + 2];
	struct wire_hello m;

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
#define BROKEN(change, why)                 \
	do {                                \
		m = good_hello();           \
		change;                     \
		REFUSED(f, hello, &m, why); \
	} while (0)
	BROKEN(m.proto_min = 2, "no range");
	BROKEN(m.page_size = 0, "is 0");
	BROKEN(m.host_name = long_name, "'host_name' has 256 bytes, 255 are allowed");
	BROKEN(m.host_name = "a\nb", "'host_name' is not printable UTF-8");
	BROKEN(m.kernel = "\xff", "'kernel' is not printable UTF-8");
	BROKEN(m.t_wall_us = -1, "'t_wall_us' of -1 is no time");
	BROKEN(m.n_epochs = 0, "no epoch");
	BROKEN((m.epochs = zero, m.n_epochs = 1), "epoch 0");
	BROKEN((m.epochs = twice, m.n_epochs = 2), "the same epoch twice");
	BROKEN((m.epochs = crossed, m.n_epochs = 1), "'seq_min' is above 'seq_max'");
	BROKEN((m.epochs = far, m.n_epochs = 1), "out of range");
#undef BROKEN
}

static void hello_needs_its_boot_id(void **state)
{
	struct fixture *f = *state;
	struct wire_hello m = good_hello(), r;
	uint8_t *at;

	memset(m.boot_id, 'b', sizeof(m.boot_id));
	PACK(f, hello, &m);
	at = memmem(f->b.data, f->b.len,
		    "\x32\x10"
		    "bbb",
		    5);
	assert_non_null(at);
	at[0] = 0x3a; /* now it is another kernel */
	assert_int_equal(UNPACK(f, hello, &r), -EBADMSG);
	assert_says(f->err, "'boot_id' has 0 bytes");
}

static void small_messages_come_back(void **state)
{
	struct fixture *f = *state;
	struct wire_ack ack = {.epoch = UINT64_MAX, .seq = WIRE_SEQ_MAX}, ack2;
	struct wire_heartbeat hb = {1, 2, 3, 4, 5, true, true}, hb2;
	struct wire_goaway go = {WIRE_GOAWAY_BUSY, 10, 20, "later"}, go2;
	struct wire_gap gap = {9, 8, 7, WIRE_GAP_UNCLEAN_END, 5, 6}, gap2;
	struct wire_hello_ack ha = {1, 2, 3, 4, 5, 6, two_epochs, 2}, ha2;

	PACK(f, ack, &ack);
	assert_int_equal(UNPACK(f, ack, &ack2), 0);
	assert_true(ack2.epoch == ack.epoch && ack2.seq == ack.seq);
	PACK(f, heartbeat, &hb);
	assert_int_equal(UNPACK(f, heartbeat, &hb2), 0);
	assert_true(hb2.t_wall_us == 1 && hb2.spool_records == 2 && hb2.cpu_us == 5 && hb2.act &&
		    hb2.leaving);
	PACK(f, goaway, &go);
	assert_int_equal(UNPACK(f, goaway, &go2), 0);
	assert_string_equal(go2.text, "later");
	assert_true(go2.reason == WIRE_GOAWAY_BUSY && go2.retry_max_ms == 20);
	PACK(f, gap, &gap);
	assert_int_equal(UNPACK(f, gap, &gap2), 0);
	assert_true(gap2.to_seq == 9 && gap2.t_last_us == 6 && gap2.bytes == 7);
	PACK(f, hello_ack, &ha);
	assert_int_equal(UNPACK(f, hello_ack, &ha2), 0);
	assert_true(ha2.max_unacked_batches == 6 && ha2.epochs[0].seq_max == 500);
}

static void bad_small_messages_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_ack ack = {.epoch = 0, .seq = 1};
	struct wire_goaway go = {(enum wire_goaway_reason)99, 1, 1, ""};
	struct wire_gap gap = {0, 0, 0, WIRE_GAP_SPOOL_FULL, 0, 0};
	struct wire_hello_ack ha = {1, 2, 0, 4, 5, 6, NULL, 0};
	struct wire_command cmd = {.body = {(const uint8_t *)"x", 1},
				   .signature = {(const uint8_t *)"short", 5}};

	REFUSED(f, ack, &ack, "epoch 0");
	ack = (struct wire_ack){.epoch = 1, .seq = (uint64_t)WIRE_SEQ_MAX + 1};
	REFUSED(f, ack, &ack, "'seq' of 9223372036854775808 is out of range");
	REFUSED(f, goaway, &go, "unknown reason 99");
	go = (struct wire_goaway){WIRE_GOAWAY_BUSY, 2, 1, ""};
	REFUSED(f, goaway, &go, "above");
	REFUSED(f, gap, &gap, "'to_seq' is 0");
	REFUSED(f, hello_ack, &ha, "is 0");
	REFUSED(f, command, &cmd, "'signature' has 5 bytes");
	cmd = (struct wire_command){.body = {NULL, 0}};
	REFUSED(f, command, &cmd, "'body' has 0 bytes");
}

static void enrolment_comes_back(void **state)
{
	struct fixture *f = *state;
	static const uint8_t raw[64] = {1};
	struct wire_enroll e = {{raw, 32}, {raw, 64}, "host", "1"}, e2;
	struct wire_enroll_reply ok = {"", {raw, 16}, {raw, 40}, {raw, 41}, {raw, 32}, 7421}, r;
	struct wire_enroll_reply no = {.error = "token expired"};

	PACK(f, enroll, &e);
	assert_int_equal(UNPACK(f, enroll, &e2), 0);
	assert_int_equal(e2.secret.len, 32);
	assert_string_equal(e2.host_name, "host");
	PACK(f, enroll_reply, &ok);
	assert_int_equal(UNPACK(f, enroll_reply, &r), 0);
	assert_int_equal(r.stream_port, 7421);
	assert_int_equal(r.ca.len, 41);
	PACK(f, enroll_reply, &no);
	assert_int_equal(UNPACK(f, enroll_reply, &r), 0);
	assert_string_equal(r.error, "token expired");
	ok.host_uuid.len = 15;
	REFUSED(f, enroll_reply, &ok, "'host_uuid' has 15 bytes");
}

static void batch_by_hand_is_the_batch(void **state)
{
	struct fixture *f = *state;
	char body[300];
	struct wire_rec recs[] = {
		{1, WIRE_TICK, (const uint8_t *)"abc", 3},
		{2, WIRE_GAP, NULL, 0},
		{1000, WIRE_EVENT, (const uint8_t *)body, sizeof(body)},
	};
	struct wire_batch m = {.epoch = 77, .records = recs, .n = 3}, r;
	size_t before;

	memset(body, 'b', sizeof(body));
	wire_batch_begin(&f->b, 77);
	for (size_t i = 0; i < 3; i++) {
		before = f->b.len;
		wire_batch_add(&f->b, recs[i].seq, recs[i].kind, recs[i].body, recs[i].len);
		assert_int_equal(f->b.len - before, wire_batch_cost(recs[i].seq, recs[i].len));
	}
	assert_int_equal(UNPACK(f, batch, &r), 0);
	assert_int_equal(r.epoch, 77);
	assert_int_equal(r.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(r.records[i].seq, recs[i].seq);
		assert_int_equal(r.records[i].kind, recs[i].kind);
		assert_int_equal(r.records[i].len, recs[i].len);
	}
	assert_memory_equal(r.records[2].body, body, sizeof(body));
	recs[2].seq = 2;
	REFUSED(f, batch, &m, "'seq' of 2 does not follow 2");
	recs[2].seq = (uint64_t)WIRE_SEQ_MAX + 1;
	REFUSED(f, batch, &m, "out of range");
	recs[2] = (struct wire_rec){3, (enum wire_record)9, NULL, 0};
	REFUSED(f, batch, &m, "unknown record kind 9");
	m.n = 0;
	REFUSED(f, batch, &m, "0 records");
	m = (struct wire_batch){.epoch = 0, .records = recs, .n = 1};
	REFUSED(f, batch, &m, "epoch 0");
}

static struct wire_process good_process(void)
{
	return (struct wire_process){
		.id = 3,
		.pid = 4242,
		.start_ticks = 99,
		.ppid = 1,
		.uid = 1000,
		.fresh = true,
		.comm = "python3",
		.cmdline = "python3 -m http.server \xc3\xa9",
		.exe = "/usr/bin/python3",
		.cgroup = "/system.slice/app.service",
		.service = "app",
	};
}

static void tick_comes_back(void **state)
{
	struct fixture *f = *state;
	uint32_t ids[] = {0, 3, 65535}, lost[] = {1, 2}, exited[] = {9}, hm[] = {1, 0};
	int64_t deltas[] = {-1, INT64_MAX, INT64_MIN}, hd[] = {5, -6};
	struct wire_process p = good_process();
	struct wire_column c = {METRIC_RSS, 3, ids, deltas, 2, lost};
	struct wire_tick m = {.t_wall_us = 5,
			      .t_boot_us = 6,
			      .interval_ms = 1000,
			      .keyframe = true,
			      .skipped = 1,
			      .born = &p,
			      .n_born = 1,
			      .exited = exited,
			      .n_exited = 1,
			      .columns = &c,
			      .n_columns = 1,
			      .host_metrics = hm,
			      .host_deltas = hd,
			      .n_host = 2},
			 r;

	PACK(f, tick, &m);
	assert_int_equal(UNPACK(f, tick, &r), 0);
	assert_int_equal(r.n_columns, 1);
	assert_int_equal(r.columns[0].n, 3);
	assert_memory_equal(r.columns[0].ids, ids, sizeof(ids));
	assert_memory_equal(r.columns[0].deltas, deltas, sizeof(deltas));
	assert_memory_equal(r.columns[0].lost, lost, sizeof(lost));
	assert_memory_equal(r.exited, exited, sizeof(exited));
	assert_memory_equal(r.host_metrics, hm, sizeof(hm));
	assert_memory_equal(r.host_deltas, hd, sizeof(hd));
	assert_string_equal(r.born[0].cmdline, p.cmdline);
	assert_string_equal(r.born[0].service, p.service);
	assert_true(r.born[0].fresh && !r.born[0].known && r.keyframe && r.skipped == 1);
}

static void bad_ticks_are_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t same[] = {3, 3}, down[] = {3, 2}, high[] = {65536}, host[] = {1, 1};
	int64_t deltas[] = {1, 2};
	struct wire_process p;
	struct wire_column c[2] = {{METRIC_RSS, 2, same, deltas, 0, NULL},
				   {METRIC_RSS, 0, 0, 0, 0, 0}};
	struct wire_tick m = {.born = &p, .n_born = 1};

#define BROKEN(change, why)                \
	do {                               \
		p = good_process();        \
		change;                    \
		REFUSED(f, tick, &m, why); \
	} while (0)
	BROKEN(p.id = 65536, "'id' of 65536 is not below 65536");
	BROKEN(p.pid = 0, "'pid' of 0 is out of range");
	BROKEN(p.pid = 1u << 31, "out of range");
	BROKEN(p.comm = "\x1b[2J", "'comm' is not printable UTF-8");
	BROKEN(p.start_ticks = UINT64_MAX, "'start_ticks'");
#undef BROKEN
	m = (struct wire_tick){.columns = c, .n_columns = 1};
	REFUSED(f, tick, &m, "ids do not ascend");
	c[0].ids = down;
	REFUSED(f, tick, &m, "is not below 65536");
	c[0].ids = high;
	c[0].n = 1;
	REFUSED(f, tick, &m, "id 65536 is not below 65536");
	c[0] = (struct wire_column){METRIC_RSS, 0, NULL, NULL, 2, same};
	REFUSED(f, tick, &m, "'lost' does not ascend");
	c[0] = (struct wire_column){METRIC_RSS, 0, NULL, NULL, 0, NULL};
	m.n_columns = 2;
	REFUSED(f, tick, &m, "metric 0 twice");
	m = (struct wire_tick){.host_metrics = host, .host_deltas = deltas, .n_host = 2};
	REFUSED(f, tick, &m, "host metric 1 twice");
	m = (struct wire_tick){.exited = high, .n_exited = 1};
	REFUSED(f, tick, &m, "'exited'");
}

/* protobuf-c would take 'py\0x' for 'py'. */
static void nothing_hides_behind_a_nul(void **state)
{
	static const uint8_t process[] = {0x2a, 9, 0x08, 1, 0x10, 1, 0x32, 3, 'p', 0, 'x'};
	static const uint8_t event[] = {0x10, 1, 0x32, 2, 'k', 0, 0x3a, 1, 'v'};
	static const uint8_t unknown[] = {0x10, 1, 0xfa, 0x07, 2, 'k', 0};
	struct fixture *f = *state;
	struct wire_tick t;
	struct wire_event e;

	PACK(f, tick, (&(struct wire_tick){.t_wall_us = 256}));
	buf_put(&f->b, process, sizeof(process));
	assert_int_equal(UNPACK(f, tick, &t), -EBADMSG);
	assert_says(f->err, "tick: a string holds a NUL");
	f->b.data[f->b.len - 2] = 'y';
	assert_int_equal(UNPACK(f, tick, &t), 0);
	assert_string_equal(t.born[0].comm, "pyx");
	buf_reset(&f->b);
	buf_put(&f->b, event, sizeof(event));
	assert_int_equal(UNPACK(f, event, &e), -EBADMSG);
	assert_says(f->err, "event: a string holds a NUL");
	/* A newer peer's field is not ours to judge. */
	buf_reset(&f->b);
	buf_put(&f->b, unknown, sizeof(unknown));
	assert_int_equal(UNPACK(f, event, &e), 0);
}

static void newer_metrics_are_skipped(void **state)
{
	struct fixture *f = *state;
	uint32_t ids[] = {1}, hm[] = {HOST_METRIC_COUNT + 5, HOST_METRIC_FREE};
	int64_t deltas[] = {7}, hd[] = {1, 2};
	struct wire_column c[] = {{(enum metric)(METRIC_COUNT + 3), 1, ids, deltas, 0, NULL},
				  {METRIC_PSS, 1, ids, deltas, 0, NULL}};
	struct wire_tick m = {.columns = c,
			      .n_columns = 2,
			      .host_metrics = hm,
			      .host_deltas = hd,
			      .n_host = 2},
			 r;

	PACK(f, tick, &m);
	assert_int_equal(UNPACK(f, tick, &r), 0);
	assert_int_equal(r.n_columns, 1);
	assert_int_equal(r.columns[0].metric, METRIC_PSS);
	assert_int_equal(r.n_host, 1);
	assert_int_equal(r.host_metrics[0], HOST_METRIC_FREE);
	assert_int_equal(r.host_deltas[0], 2);
}

static void events_come_back(void **state)
{
	struct fixture *f = *state;
	const char *keys[] = {"pid", ""}, *values[] = {"", "x"}, *many[WIRE_MAX_DETAILS + 1];
	struct wire_event m = {.t_wall_us = 5,
			       .kind = WIRE_EVENT_PROCESS_EXIT,
			       .pid = 7,
			       .start_ticks = 8,
			       .text = "gone",
			       .keys = keys,
			       .values = values,
			       .n_details = 2,
			       .has_boot_id = true,
			       .boot_id = {1, 2, 3}},
			  r;

	PACK(f, event, &m);
	assert_int_equal(UNPACK(f, event, &r), 0);
	assert_int_equal(r.n_details, 2);
	assert_string_equal(r.keys[0], "pid");
	assert_string_equal(r.values[1], "x");
	assert_string_equal(r.values[0], "");
	assert_true(r.has_boot_id);
	assert_memory_equal(r.boot_id, m.boot_id, sizeof(r.boot_id));
	m.kind = (enum wire_event_kind)999;
	REFUSED(f, event, &m, "unknown kind 999");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "k";
	m = (struct wire_event){.kind = WIRE_EVENT_ALERT,
				.text = "",
				.keys = many,
				.values = many,
				.n_details = ARRAY_SIZE(many)};
	REFUSED(f, event, &m, "33 details, 32 are allowed");
}

/* safety.md 0.1: two bytes on the wire that would each become a structure. */
static void a_mebibyte_of_empty_messages_is_refused(void **state)
{
	static const uint8_t tags[] = {0x2a, 0x3a}; /* Tick.born, Tick.columns */
	struct fixture *f = *state;
	struct wire_tick r;
	struct wire_batch batch;

	for (size_t t = 0; t < ARRAY_SIZE(tags); t++) {
		buf_reset(&f->b);
		for (size_t i = 0; i < 524288; i++) {
			buf_u8(&f->b, tags[t]);
			buf_u8(&f->b, 0);
		}
		assert_int_equal(UNPACK(f, tick, &r), -EBADMSG);
		assert_says(f->err, "unpack to more than");
		assert_true(f->arena.used <= WIRE_BUDGET(f->b.len));
	}
	for (size_t i = 0; i < f->b.len; i += 2)
		f->b.data[i] = 0x12;
	assert_int_equal(UNPACK(f, batch, &batch), -EBADMSG);
	assert_says(f->err, "unpack to more than");
}

static void packed_columns_fit_the_budget(void **state)
{
	struct fixture *f = *state;
	static uint32_t ids[20000];
	static int64_t deltas[20000];
	struct wire_column c[METRIC_COUNT];
	struct wire_tick m = {.columns = c, .n_columns = METRIC_COUNT}, r;

	for (uint32_t i = 0; i < 20000; i++)
		ids[i] = i;
	for (int i = 0; i < METRIC_COUNT; i++)
		c[i] = (struct wire_column){(enum metric)i, 20000, ids, deltas, 0, NULL};
	PACK(f, tick, &m);
	assert_int_equal(UNPACK(f, tick, &r), 0);
	assert_int_equal(r.columns[METRIC_COUNT - 1].ids[19999], 19999);
}

static void cut_and_flipped_bytes_never_crash(void **state)
{
	struct fixture *f = *state;
	uint32_t ids[] = {0, 3}, hm[] = {0};
	int64_t deltas[] = {1, 300}, hd[] = {5};
	struct wire_process p = good_process();
	struct wire_column c = {METRIC_RSS, 2, ids, deltas, 1, ids};
	struct wire_tick m = {.t_wall_us = 5,
			      .born = &p,
			      .n_born = 1,
			      .columns = &c,
			      .n_columns = 1,
			      .host_metrics = hm,
			      .host_deltas = hd,
			      .n_host = 1},
			 r;
	size_t whole, refused = 0;

	PACK(f, tick, &m);
	whole = f->b.len;
	for (f->b.len = 0; f->b.len < whole; f->b.len++)
		refused += UNPACK(f, tick, &r) != 0;
	assert_true(refused > whole / 2);
	f->b.len = whole;
	for (size_t bit = 0; bit < whole * 8; bit++) {
		int rc;

		f->b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = UNPACK(f, tick, &r);
		assert_true(rc == 0 || rc == -EBADMSG);
		f->b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void each_failed_allocation_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct wire_process p[40];
	struct wire_tick m = {.born = p, .n_born = ARRAY_SIZE(p)}, r;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = good_process();
	do {
		buf_fini(&f->b);
		alloc_fail_at(++n);
		wire_pack_tick(&f->b, &m);
		alloc_fail_off();
		assert_int_equal(buf_status(&f->b), alloc_failed() ? -ENOBUFS : 0);
		buf_reset(&f->b);
	} while (alloc_failed());
	assert_true(n > 2);
	PACK(f, tick, &m);
	n = 0;
	do {
		int rc;

		alloc_fail_at(++n);
		rc = UNPACK(f, tick, &r);
		alloc_fail_off();
		assert_int_equal(rc, alloc_failed() ? -ENOMEM : 0);
	} while (alloc_failed());
	assert_true(n > 2);
}

static void a_full_buf_is_told(void **state unused_arg)
{
	struct wire_process p = good_process();
	struct wire_tick m = {.born = &p, .n_born = 1};
	struct buf whole = BUF_INIT(4096);
	size_t len;

	wire_pack_tick(&whole, &m);
	assert_int_equal(buf_status(&whole), 0);
	len = whole.len;
	buf_fini(&whole);
	for (size_t max = 0; max < len; max++) {
		struct buf b = BUF_INIT(max);

		wire_pack_tick(&b, &m);
		assert_int_equal(buf_status(&b), -ENOBUFS);
		buf_fini(&b);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hello_comes_back),
		TEST(bad_hellos_are_refused),
		TEST(hello_needs_its_boot_id),
		TEST(small_messages_come_back),
		TEST(bad_small_messages_are_refused),
		TEST(enrolment_comes_back),
		TEST(batch_by_hand_is_the_batch),
		TEST(tick_comes_back),
		TEST(bad_ticks_are_refused),
		TEST(nothing_hides_behind_a_nul),
		TEST(newer_metrics_are_skipped),
		TEST(events_come_back),
		TEST(a_mebibyte_of_empty_messages_is_refused),
		TEST(packed_columns_fit_the_budget),
		TEST(cut_and_flipped_bytes_never_crash),
		TEST(each_failed_allocation_is_an_error),
		TEST(a_full_buf_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
