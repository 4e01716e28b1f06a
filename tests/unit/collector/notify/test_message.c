/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/notify/message.h"

#include <errno.h>
#include <math.h>

#include "collector/notify/body.h"
#include "common/clock.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define HOSTILE "x) R 1 \n<script>"

static struct incident_mail incident(void)
{
	return (struct incident_mail){
		.incident = 42,
		.sequence = 1,
		.rule = "leak",
		.level = "mail",
		.headline = "memory leak",
		.host = "web-17",
		.service = "gunicorn-api",
		.culprit = {.pid = 4711,
			    .name = "gunicorn",
			    .cmdline = "gunicorn api:app",
			    .rss_bytes = 512 << 20,
			    .growth = 63 << 20},
		.opened_us = 1795400000 * USEC_PER_SEC,
		.now_us = 1795400720 * USEC_PER_SEC,
		.r2 = 0.987,
		.time_to_oom_us = 2 * 3600 * USEC_PER_SEC,
		.host_available = 210 << 20,
		.host_total = 2LL << 30,
		.first_value = NAN,
		.peak_value = NAN,
		.last_value = NAN,
		.resolved_value = NAN,
	};
}

static void build(struct buf *out, const struct incident_mail *m)
{
	struct error err = {""};

	buf_reset(out);
	assert_int_equal(message_build(out, m, "memherd@example.com", "ops@example.com\n", &err),
			 0);
}

#define assert_has(b, s)                                                        \
	do {                                                                    \
		if (!strstr((char *)(b).data, (s)))                             \
			fail_msg("'%s' is not in:\n%s", (s), (char *)(b).data); \
	} while (0)

static void headers_are_those_promised(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();

	build(&b, &m);
	assert_has(b, "Subject: [memherd] web-17 gunicorn-api: memory leak (INC-42)\r\n");
	assert_has(b, "Date: Mon, 23 Nov 2026 02:25:20 +0000\r\n");
	assert_has(b, "Message-ID: <inc42.660e8233ad000.1.firing@example.com>\r\n");
	assert_has(b, "References: <inc42.660e8233ad000@example.com>\r\n");
	assert_has(b, "In-Reply-To: <inc42.660e8233ad000@example.com>\r\n");
	assert_has(b, "Auto-Submitted: auto-generated\r\n");
	assert_has(b, "X-Memherd-Host: web-17\r\n");
	assert_has(b, "X-Memherd-State: firing\r\n");
}

static void the_subject_never_changes(void **state unused_arg)
{
	auto_buf struct buf first = BUF_INIT(1024), last = BUF_INIT(1024);
	struct incident_mail m = incident();

	message_subject(&first, &m);
	m.state = MAIL_RESOLVED;
	m.level = "trim";
	m.sequence = 7;
	m.culprit.rss_bytes = 1;
	m.culprit.pid = 9;
	m.now_us += USEC_PER_SEC;
	message_subject(&last, &m);
	assert_string_equal((char *)first.data, (char *)last.data);
}

static void the_first_line_tells_the_state(void **state unused_arg)
{
	static const char *const lines[] = {
		[MAIL_FIRING] = "FIRING, open for 12 min",
		[MAIL_ESCALATED] = "ESCALATED to mail, open for 12 min",
		[MAIL_AGAIN] = "AGAIN, open for 12 min",
		[MAIL_ACTION] = "ACTION taken, open for 12 min",
		[MAIL_RESOLVED] = "RESOLVED after 12 min",
	};

	for (unsigned s = 0; s < ARRAY_SIZE(lines); s++) {
		auto_buf struct buf b = BUF_INIT(1024);
		struct incident_mail m = incident();

		m.state = (enum mail_state)s;
		body_state_line(&b, &m);
		assert_string_equal((char *)b.data, lines[s]);
	}
}

static void a_hostile_name_stays_text(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX), html = BUF_INIT(BODY_HTML_MAX);
	struct incident_mail m = incident();
	const struct mail_process top = {.pid = 1, .name = HOSTILE, .cmdline = HOSTILE};
	const struct mail_action a = {.action = HOSTILE,
				      .target = HOSTILE,
				      .state = HOSTILE,
				      .detail = HOSTILE};
	static const char *const texts[] = {HOSTILE, HOSTILE};
	const struct mail_section section = {.title = HOSTILE,
					     .lines = texts,
					     .line_count = 2,
					     .cells = texts,
					     .cell_count = 2,
					     .columns = 1};

	m.host = m.service = m.culprit.name = m.culprit.cmdline = m.rule = m.level = m.headline =
		m.rule_text = m.why = HOSTILE;
	m.top_rss = m.top_growth = &top;
	m.top_rss_count = m.top_growth_count = 1;
	m.actions = &a;
	m.action_count = 1;
	m.base_url = "javascript:alert(1)";
	m.summary = HOSTILE;
	m.sections = &section;
	m.section_count = 1;
	build(&b, &m);
	assert_null(strstr(strstr((char *)b.data, "text/html"), "<script"));
	body_html(&html, &m);
	assert_null(strstr((char *)html.data, "<script"));
	assert_null(strstr((char *)html.data, "href"));
	assert_has(html, "\\x0a&lt;script&gt;");
	assert_has(html, "<p style=\"margin:0 0 4px 0\">x) R 1 \\x0a&lt;script&gt;</p>");
	assert_has(html, "\">x) R 1 \\x0a&lt;script&gt;</td>");
}

static void sections_are_lines_and_a_table(void **state unused_arg)
{
	static const char *const lines[] = {"a line of it"};
	static const char *const cells[] = {"who", "RSS", "victim", "100 MiB", "grew", NULL};
	const struct mail_section sections[] = {
		{.title = "First", .lines = lines, .line_count = 1},
		{.title = "Table", .cells = cells, .cell_count = ARRAY_SIZE(cells), .columns = 2},
	};
	auto_buf struct buf text = BUF_INIT(BODY_TEXT_MAX), html = BUF_INIT(BODY_HTML_MAX);
	struct incident_mail m = incident();

	m.summary = "It was so.";
	m.sections = sections;
	m.section_count = ARRAY_SIZE(sections);
	m.base_url = "http://x";
	m.link = "#oom=7";
	body_text(&text, &m);
	assert_has(text, ": memory leak\n\nIt was so.\n\nWhat ");
	assert_has(text, "\nFirst\n  a line of it\n");
	assert_has(text, "\nTable\n  who         RSS\n  victim  100 MiB\n  grew          -\n");
	assert_has(text, "All that is known: http://x/#oom=7\n");
	assert_null(strstr((char *)text.data, "Already done"));
	body_html(&html, &m);
	assert_has(html, ">It was so.</p>");
	assert_has(html, ">a line of it</p>");
	assert_has(html, ">100 MiB</td></tr>");
	assert_has(html, "<a href=\"http://x/#oom=7\">");
}

static void what_is_too_much_of_sections_is_left_out(void **state unused_arg)
{
	static char huge[5000];
	static const char *lines[100], *cells[300];
	struct mail_section sections[20];
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX), text = BUF_INIT(BODY_TEXT_MAX);
	struct incident_mail m = incident();

	memset(huge, '"', sizeof(huge) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = huge;
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = huge;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		sections[i] = (struct mail_section){.title = huge,
						    .lines = lines,
						    .line_count = ARRAY_SIZE(lines),
						    .cells = cells,
						    .cell_count = ARRAY_SIZE(cells),
						    .columns = i % (MESSAGE_COLUMNS + 2)};
	m.sections = sections;
	m.section_count = ARRAY_SIZE(sections);
	m.summary = m.link = huge;
	build(&b, &m);
	assert_has(b, "--=_memherd_alternative--");
	body_text(&text, &m);
	assert_has(text, "  ...\n");
}

static void nothing_known_is_still_a_message(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	const struct incident_mail m = {.time_to_oom_us = -1, .host_available = -1};

	build(&b, &m);
	assert_has(b, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n");
}

static void extreme_numbers_are_survived(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();
	const struct mail_point points[] = {{INT64_MIN, INT64_MIN}, {INT64_MAX, INT64_MAX}};

	m.culprit.growth = -1e300;
	m.culprit.rss_bytes = INT64_MAX;
	m.time_to_oom_us = INT64_MAX;
	m.r2 = INFINITY;
	m.opened_us = 1;
	m.first_value = 1e308;
	m.last_value = -1e308;
	m.points = points;
	m.point_count = 2;
	for (int u = MAIL_UNIT_NUMBER; u <= MAIL_UNIT_SECONDS; u++) {
		m.unit = (enum mail_unit)u;
		build(&b, &m);
	}
}

static void bars_show_the_shape(void **state unused_arg)
{
	struct mail_point p[200];
	unsigned bars[BODY_BARS];
	struct incident_mail m = {.points = p, .point_count = 3};
	int64_t least, most;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = (struct mail_point){(int64_t)i, (int64_t)i * 100};
	assert_int_equal(body_bars(&m, 8, bars, &least, &most), 3);
	assert_int_equal(least, 0);
	assert_int_equal(most, 200);
	assert_int_equal(bars[0], 0);
	assert_int_equal(bars[1], 4);
	assert_int_equal(bars[2], 7);
	m.point_count = ARRAY_SIZE(p);
	assert_int_equal(body_bars(&m, 8, bars, &least, &most), BODY_BARS);
	assert_int_equal(least, (200 - MESSAGE_POINTS) * 100);
	assert_int_equal(bars[BODY_BARS - 1], 7);
	m.point_count = 0;
	assert_int_equal(body_bars(&m, 8, bars, &least, &most), 0);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i].bytes = 5;
	m.point_count = 9;
	assert_int_equal(body_bars(&m, 8, bars, &least, &most), 9);
	assert_int_equal(bars[8], 0);
}

static void the_html_part_stays_under_gmails_clip(void **state unused_arg)
{
	static char huge[100000];
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();
	struct mail_process top[50];
	struct mail_action actions[200];
	struct mail_point points[500];

	memset(huge, '<', sizeof(huge) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(top); i++)
		top[i] = (struct mail_process){.name = huge, .cmdline = huge};
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		actions[i] = (struct mail_action){.action = huge,
						  .target = huge,
						  .state = huge,
						  .detail = huge};
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		points[i] = (struct mail_point){(int64_t)i, (int64_t)(i * i)};
	m.host = m.service = m.culprit.name = m.culprit.cmdline = m.rule = m.headline = huge;
	m.rule_text = m.why = m.base_url = huge;
	m.top_rss = m.top_growth = top;
	m.top_rss_count = m.top_growth_count = ARRAY_SIZE(top);
	m.actions = actions;
	m.action_count = ARRAY_SIZE(actions);
	m.points = points;
	m.point_count = ARRAY_SIZE(points);
	build(&b, &m);
	assert_true(b.len < MESSAGE_MAX);
}

static void what_was_there_later_is_told(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();
	struct mail_action a = {.action = "trim",
				.state = "done",
				.before = 500LL << 20,
				.after = 300LL << 20,
				.verdict = "regrew",
				.later = 480LL << 20,
				.later_us = 600000000};

	m.actions = &a;
	m.action_count = 1;
	build(&b, &m);
	assert_non_null(strstr((char *)b.data, "480 MiB 10 min later: regrew"));
	a.verdict = "";
	buf_reset(&b);
	build(&b, &m);
	assert_null(strstr((char *)b.data, " later: "));
}

static void a_rule_of_any_length_is_mailed(void **state unused_arg)
{
	static const char *const lines[] = {"a\n", "\xff\n", "\n", "\"x\" and\n", "abc"};
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		auto_buf struct buf rule = BUF_INIT(70000);

		while (rule.len < 65000)
			buf_puts(&rule, lines[i]);
		m.rule_text = (char *)rule.data;
		build(&b, &m);
		assert_has(b, "...\r\n");
		assert_has(b, "--=_memherd_alternative--");
	}
	m.rule_text = "rule x:\n  mail when a > 1\n";
	build(&b, &m);
	assert_has(b, "\r\n  rule x:\r\n    mail when a > 1\r\n");
	assert_null(strstr((char *)b.data, "..."));
}

static void wrong_addresses_are_refused(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
	struct incident_mail m = incident();
	struct error err = {""};

	assert_int_equal(message_build(&b, &m, "a@b>\r\nX: y", "o@x", &err), -EINVAL);
	assert_says(err, "is no mail address");
	assert_int_equal(message_build(&b, &m, "a@b", "ops", &err), -EINVAL);
	assert_says(err, "recipient 'ops'");
	assert_int_equal(message_build(&b, &m, "a@b", "\n\r\n", &err), -EINVAL);
	assert_says(err, "no recipient");
}

static void too_little_room_or_memory_is_an_error(void **state unused_arg)
{
	struct incident_mail m = incident();
	auto_buf struct buf small = BUF_INIT(900);

	assert_int_equal(message_build(&small, &m, "a@b", "o@x", NULL), -ENOBUFS);
	for (unsigned n = 1;; n++) {
		auto_buf struct buf b = BUF_INIT(MESSAGE_MAX);
		int rc;

		alloc_fail_at(n);
		rc = message_build(&b, &m, "a@b", "o@x", NULL);
		alloc_fail_off();
		if (!alloc_failed()) {
			assert_int_equal(rc, 0);
			assert_true(n > 5);
			return;
		}
		assert_true(rc < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_those_promised),
		cmocka_unit_test(the_subject_never_changes),
		cmocka_unit_test(the_first_line_tells_the_state),
		cmocka_unit_test(a_hostile_name_stays_text),
		cmocka_unit_test(sections_are_lines_and_a_table),
		cmocka_unit_test(what_is_too_much_of_sections_is_left_out),
		cmocka_unit_test(nothing_known_is_still_a_message),
		cmocka_unit_test(extreme_numbers_are_survived),
		cmocka_unit_test(bars_show_the_shape),
		cmocka_unit_test(the_html_part_stays_under_gmails_clip),
		cmocka_unit_test(what_was_there_later_is_told),
		cmocka_unit_test(a_rule_of_any_length_is_mailed),
		cmocka_unit_test(wrong_addresses_are_refused),
		cmocka_unit_test(too_little_room_or_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
