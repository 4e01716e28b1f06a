/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "proto/metric.h"
#include "tests/support/folder.h"

static const uint8_t boot_a[16] = {1};
static const uint8_t boot_b[16] = {2};
static char file[128];

static int begin(void **state)
{
	int r = folder_begin(state);

	snprintf(file, sizeof(file), "%s/blackbox", folder);
	return r;
}

static struct blackbox_state state_at(int64_t wall_us)
{
	struct blackbox_state s = {
		.wall_us = wall_us,
		.mem_total = 1000,
		.mem_available = 123,
		.swap_total = 0,
		.swap_free = METRIC_ABSENT,
		.psi_some = 250,
		.psi_full = 10,
		.n_largest = BLACKBOX_TOP,
		.n_growing = 1,
	};

	for (unsigned i = 0; i < BLACKBOX_TOP; i++) {
		s.largest[i].pid = i + 1;
		s.largest[i].rss_kib = 1000 - i;
		memset(s.largest[i].name, 'a' + (int)i, BLACKBOX_NAME_MAX);
	}
	s.growing[0] = (struct blackbox_top){.pid = 7, .grown_kib = -5, .name = "leaky"};
	return s;
}

static void open_box(struct blackbox *b, const uint8_t boot_id[16])
{
	struct error err;

	if (blackbox_open(b, file, boot_id, &err) < 0)
		fail_msg("%s", err.msg);
}

static void beat(struct blackbox *b, int64_t wall_us)
{
	struct blackbox_state s = state_at(wall_us);
	struct error err;

	if (blackbox_heartbeat(b, &s, &err) < 0)
		fail_msg("%s", err.msg);
}

static void after_a_reboot_it_knows_how_the_watch_ended(void **state unused_arg)
{
	const struct blackbox_state *p;
	struct blackbox b;
	bool told;

	open_box(&b, boot_a);
	assert_null(blackbox_previous(&b, &told));
	assert_false(b.have_last);
	beat(&b, 1000);
	beat(&b, 2000);
	beat(&b, 3000);
	blackbox_close(&b);

	open_box(&b, boot_b);
	p = blackbox_previous(&b, &told);
	assert_non_null(p);
	assert_false(told);
	assert_false(p->clean);
	assert_int_equal(p->wall_us, 3000);
	assert_int_equal(p->mem_available, 123);
	assert_int_equal(p->swap_free, METRIC_ABSENT);
	assert_int_equal(p->n_largest, BLACKBOX_TOP);
	assert_int_equal(p->largest[9].rss_kib, 991);
	assert_int_equal(strlen(p->largest[9].name), BLACKBOX_NAME_MAX);
	assert_string_equal(p->growing[0].name, "leaky");
	assert_int_equal(p->growing[0].grown_kib, -5);
	blackbox_told(&b);
	beat(&b, 4000);
	blackbox_close(&b);

	/* the agent starts again: the boot before is still known, and told */
	open_box(&b, boot_b);
	p = blackbox_previous(&b, &told);
	assert_int_equal(p->wall_us, 3000);
	assert_true(told);
	assert_true(b.have_last);
	assert_int_equal(b.last.wall_us, 4000);
	blackbox_close(&b);
}

static void an_end_in_order_is_marked(void **state unused_arg)
{
	struct error err;
	struct blackbox b;
	bool told;

	open_box(&b, boot_a);
	beat(&b, 1000);
	assert_int_equal(blackbox_mark_clean(&b, 1500, &err), 0);
	blackbox_close(&b);
	open_box(&b, boot_b);
	assert_true(blackbox_previous(&b, &told)->clean);
	assert_int_equal(blackbox_previous(&b, &told)->wall_us, 1500);
	blackbox_close(&b);
}

static void add(struct blackbox *b, uint8_t fill, size_t len)
{
	uint8_t *data = malloc(len);
	struct error err;
	uint64_t seq;

	assert_non_null(data);
	memset(data, fill, len);
	if (blackbox_add_dossier(b, 1000 + fill, data, len, &seq, &err) < 0)
		fail_msg("%s", err.msg);
	free(data);
}

static void check_dossier(const struct blackbox *b, uint32_t i, uint8_t fill, size_t len)
{
	auto_buf struct buf out = BUF_INIT(BLACKBOX_DOSSIER_MAX);
	struct error err;

	if (blackbox_read_dossier(b, i, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(out.len, len);
	for (size_t k = 0; k < len; k++)
		assert_int_equal(out.data[k], fill);
	assert_int_equal(b->dossiers[i].wall_us, 1000 + fill);
}

static void dossiers_outlive_the_agent(void **state unused_arg)
{
	struct error err;
	struct blackbox b;

	open_box(&b, boot_a);
	add(&b, 1, 100);
	add(&b, 2, BLACKBOX_DOSSIER_MAX);
	assert_int_equal(blackbox_add_dossier(&b, 1, "", 0, NULL, &err), -EMSGSIZE);
	assert_int_equal(blackbox_add_dossier(&b, 1, file, BLACKBOX_DOSSIER_MAX + 1, NULL, &err),
			 -EMSGSIZE);
	blackbox_close(&b);
	open_box(&b, boot_b);
	assert_int_equal(b.n_dossiers, 2);
	check_dossier(&b, 0, 1, 100);
	check_dossier(&b, 1, 2, BLACKBOX_DOSSIER_MAX);
	assert_int_equal(blackbox_forget_dossier(&b, b.dossiers[0].seq, &err), 0);
	assert_int_equal(blackbox_forget_dossier(&b, 999, &err), 0);
	blackbox_close(&b);
	open_box(&b, boot_b);
	assert_int_equal(b.n_dossiers, 1);
	check_dossier(&b, 0, 2, BLACKBOX_DOSSIER_MAX);
	add(&b, 3, 5);
	assert_int_equal(b.dossiers[1].seq, 2);
	blackbox_close(&b);
}

static void the_oldest_go_for_new_ones(void **state unused_arg)
{
	struct blackbox b;
	struct stat st;

	open_box(&b, boot_a);
	/* sizes that leave a hole at the region's end, many times around it; reopened now and then
	 */
	for (unsigned i = 0; i < 120; i++) {
		size_t len = 30000 + (i * 7919) % 35000;

		add(&b, (uint8_t)i, len);
		assert_true(b.n_dossiers <= BLACKBOX_DOSSIERS);
		if (i % 10 == 9) {
			blackbox_close(&b);
			open_box(&b, boot_a);
			assert_int_equal(b.dropped, 0);
			for (uint32_t k = 0; k < b.n_dossiers; k++) {
				unsigned n = i + 1 - b.n_dossiers + k;

				check_dossier(&b, k, (uint8_t)n, 30000 + (n * 7919) % 35000);
			}
		}
	}
	assert_true(b.n_dossiers >= 8);
	for (unsigned i = 0; i < 40; i++)
		add(&b, (uint8_t)i, 10);
	assert_int_equal(b.n_dossiers, BLACKBOX_DOSSIERS);
	assert_int_equal(fstat(b.fd, &st), 0);
	assert_true(st.st_size <= 2 * BLACKBOX_SLOT + BLACKBOX_REGION);
	blackbox_close(&b);
}

/* ---- damage ---- */

static uint8_t *load(size_t *ret_len)
{
	FILE *f = fopen(file, "r");
	uint8_t *data = malloc(2 << 20);

	assert_non_null(f);
	assert_non_null(data);
	*ret_len = fread(data, 1, 2 << 20, f);
	fclose(f);
	return data;
}

static void save(const uint8_t *data, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void make_two_generations(void)
{
	struct blackbox b;

	open_box(&b, boot_a);
	add(&b, 9, 300);
	beat(&b, 1000);
	beat(&b, 2000);
	blackbox_close(&b);
}

static void a_torn_slot_costs_one_heartbeat(void **state unused_arg)
{
	struct blackbox b;
	uint8_t *data;
	size_t len;

	make_two_generations();
	data = load(&len);
	/* generation 3 lies in the second slot */
	data[BLACKBOX_SLOT + 5000] ^= 1;
	save(data, len);
	open_box(&b, boot_b);
	assert_int_equal(b.previous.wall_us, 1000);
	check_dossier(&b, 0, 9, 300);
	beat(&b, 5000);
	blackbox_close(&b);
	open_box(&b, boot_b);
	assert_int_equal(b.last.wall_us, 5000);
	blackbox_close(&b);
	free(data);
}

static void no_flipped_bit_is_believed(void **state unused_arg)
{
	uint8_t *slot;
	size_t len;

	make_two_generations();
	slot = load(&len);
	for (size_t bit = 0; bit < BLACKBOX_SLOT * 8; bit += bit < 8192 ? 1 : 97) {
		struct blackbox b = {.generation = 77};

		slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(blackbox_unpack(slot, BLACKBOX_SLOT, &b), -EBADMSG);
		assert_int_equal(b.generation, 77);
		slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(slot);
}

static void a_file_cut_anywhere_opens(void **state unused_arg)
{
	uint8_t *data;
	size_t len;

	make_two_generations();
	data = load(&len);
	assert_int_equal(len, 2 * BLACKBOX_SLOT + 300);
	for (size_t cut = len + 1; cut-- > 0; cut -= cut > 400 && cut % 13 ? cut % 13 : 0) {
		struct blackbox b;

		assert_int_equal(truncate(file, (off_t)cut), 0);
		open_box(&b, boot_b);
		assert_int_equal(b.have_previous, cut >= BLACKBOX_SLOT);
		if (cut >= BLACKBOX_SLOT)
			assert_int_equal(b.previous.wall_us,
					 cut >= 2 * BLACKBOX_SLOT ? 2000 : 1000);
		assert_int_equal(b.n_dossiers, cut == len);
		blackbox_close(&b);
	}
	free(data);
}

static void what_is_no_black_box_is_started_anew(void **state unused_arg)
{
	struct error err;
	struct blackbox b;

	folder_put("blackbox", "hello\n");
	open_box(&b, boot_a);
	beat(&b, 1000);
	blackbox_close(&b);
	open_box(&b, boot_a);
	assert_int_equal(b.last.wall_us, 1000);
	blackbox_close(&b);
	assert_int_equal(blackbox_open(&b, folder, boot_a, &err), -EISDIR);
	assert_int_equal(blackbox_open(&b, "/dev/null", boot_a, &err), -EINVAL);
	assert_says(err, "not a regular file");
	assert_int_equal(blackbox_heartbeat(&b, &(struct blackbox_state){0}, &err), -EBADF);
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_is_an_error_and_nothing_else(void **state unused_arg)
{
	struct rlimit old;
	struct rlimit low;
	struct error err;
	struct blackbox b;
	uint8_t data[1000] = {0};

	signal(SIGXFSZ, SIG_IGN);
	open_box(&b, boot_a);
	beat(&b, 1000);
	add(&b, 1, 100);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){2 * BLACKBOX_SLOT + 200, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(blackbox_add_dossier(&b, 1, data, sizeof(data), NULL, &err), -EFBIG);
	assert_says(err, "cannot write a dossier");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(b.n_dossiers, 1);
	check_dossier(&b, 0, 1, 100);
	add(&b, 2, 200);
	blackbox_close(&b);
	open_box(&b, boot_a);
	check_dossier(&b, 0, 1, 100);
	check_dossier(&b, 1, 2, 200);
	blackbox_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, folder_end)
		T(after_a_reboot_it_knows_how_the_watch_ended),
		T(an_end_in_order_is_marked),
		T(dossiers_outlive_the_agent),
		T(the_oldest_go_for_new_ones),
		T(a_torn_slot_costs_one_heartbeat),
		T(no_flipped_bit_is_believed),
		T(a_file_cut_anywhere_opens),
		T(what_is_no_black_box_is_started_anew),
		T(a_full_disk_is_an_error_and_nothing_else),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
