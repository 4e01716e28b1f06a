/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mail CONNINFO URL TLS FROM RECIPIENT [CA USER PASSWORD_FILE] - the mailer alone on a loop, told
 * what to do by lines on stdin: 'STATE SEQUENCE INCIDENT' queues a message, 'counts' prints the
 * counts, the end ends it.
 */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/notify/mail.h"
#include "collector/store/db.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/support/lines.h"

#define HOSTILE "x) R 1 \n<script>\r\nBcc: evil@example.com\r\n\r\n.\r\n\xff\"'&"

struct driver {
	struct event_base *base;
	struct mailer *mailer;
};

static void queue_mail(struct driver *d, enum mail_state state, unsigned sequence, int64_t incident)
{
	const struct mail_process top[] = {
		{.pid = 4711,
		 .name = HOSTILE,
		 .cmdline = HOSTILE,
		 .rss_bytes = 512 << 20,
		 .growth = 63.0 * (1 << 20)},
		{.pid = 12, .name = "größer-прокси", .cmdline = "", .rss_bytes = -1, .growth = NAN},
	};
	const struct mail_action trim = {.t_us = 1795402923000000,
					 .action = "trim",
					 .target = HOSTILE,
					 .state = "done",
					 .before = 512 << 20,
					 .after = 380 << 20};
	struct mail_point points[90];
	const struct incident_mail m = {
		.incident = incident,
		.sequence = sequence,
		.state = state,
		.rule = "leak",
		.level = "mail",
		.headline = "memory leak",
		.subject_kind = "process",
		.host = "web-17",
		.culprit = top[0],
		.opened_us = 1795400000000000,
		.now_us = clock_wall_us(),
		.r2 = 0.99,
		.time_to_oom_us = 3 * 3600 * USEC_PER_SEC,
		.host_available = 210 << 20,
		.host_total = 2LL << 30,
		.unit = MAIL_UNIT_BYTES_PER_HOUR,
		.first_value = 4e7,
		.peak_value = 7e7,
		.last_value = 6.6e7,
		.resolved_value = NAN,
		.top_rss = top,
		.top_rss_count = 2,
		.top_growth = top,
		.top_growth_count = 2,
		.points = points,
		.point_count = ARRAY_SIZE(points),
		.actions = &trim,
		.action_count = 1,
		.rule_text = "rule leak\n  when slope(rss, 1h) > 30MiB for 10min\n  mail",
		.why = "grew 63 MiB/h for 10 min",
	};
	struct error err = {""};
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		points[i] = (struct mail_point){(int64_t)i * 60 * USEC_PER_SEC, (int64_t)(300 + i)
											<< 20};
	rc = mail_incident(d->mailer, &m, &err);
	printf("%s\n", rc < 0 ? err.msg : "queued");
}

static void obey(void *arg, char *line)
{
	struct driver *d = arg;
	struct mail_counts c;
	char state[16];
	unsigned sequence;
	int64_t incident;

	if (strcmp(line, "counts") == 0) {
		mail_counts(d->mailer, &c);
		printf("sent=%" PRIu64 " failed=%" PRIu64 " retried=%" PRIu64 " held=%u\n", c.sent,
		       c.failed, c.retried, c.held);
	} else if (sscanf(line, "%15s %u %" SCNd64, state, &sequence, &incident) == 3) {
		for (int s = MAIL_FIRING; s <= MAIL_RESOLVED; s++) {
			if (strcmp(state, mail_state_word((enum mail_state)s)) == 0)
				queue_mail(d, (enum mail_state)s, sequence, incident);
		}
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct driver d = {.base = NULL};
	struct lines in = {.obey = obey, .arg = &d};
	struct db *db = NULL;
	struct error err;

	if (argc < 6)
		return 2;
	log_init("mail-driver", LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	d.base = event_base_new();
	const struct mail_config config = {
		.url = argv[2],
		.tls = argv[3],
		.from = argv[4],
		.recipients = argv[5],
		.ca_file = argc > 6 ? argv[6] : "",
		.user = argc > 8 ? argv[7] : "",
		.password_file = argc > 8 ? argv[8] : "",
		.base_url = "https://memherd.example:7420",
		.retry_us = 300000,
	};

	if (!d.base || db_new(d.base, argv[1], 2, &db, &err) < 0 ||
	    mailer_new(d.base, db, &config, &d.mailer, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		db_free(&db);
		event_base_free(d.base);
		return 1;
	}
	in.base = d.base;
	if (lines_start(&in) == 0)
		event_base_dispatch(d.base);
	lines_stop(&in);
	mailer_free(&d.mailer);
	db_free(&db);
	event_base_free(d.base);
	libevent_global_shutdown();
	return 0;
}
