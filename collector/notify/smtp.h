/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp.h - hands messages to one relay by SMTP, on the loop: the one user of libcurl here.
 *
 * All transfers of a struct smtp share one connection, one after the other: many logins at once
 * stall the loop (0.2 s for fifty STARTTLS handshakes) and relays count them.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_SMTP_H
#define MEMHERD_COLLECTOR_NOTIFY_SMTP_H

#include <stdint.h>

#include "common/error.h"

struct event_base;
struct smtp;

struct smtp_config {
	const char *url;           /* smtp://host[:port] or smtps://host[:port] */
	const char *tls;           /* 'starttls' (demanded, not tried), 'implicit', 'none' */
	const char *user;          /* '' or NULL: no login */
	const char *password_file; /* private (fs_check_private); read at each message */
	const char *ca_file;       /* '' or NULL: the system's */
	int64_t timeout_us;        /* of one message, 0 = 60 s */
};

/* Decided by the relay's reply code, not by libcurl's: 4xx and any trouble with the connection, TLS
 * or the login can pass, 5xx for the envelope or the message is for good. */
enum smtp_verdict { SMTP_SENT, SMTP_RETRY, SMTP_REFUSED };

struct smtp_result {
	enum smtp_verdict verdict;
	long code;       /* last reply's; 0 = the relay was not reached */
	char reply[256]; /* the relay's last line, or what went wrong before it */
};

/* From the loop, once a message, unless smtp_free came first. */
typedef void smtp_done(void *arg, const struct smtp_result *r);

/* Copies the configuration; -EINVAL names the option that is wrong. */
int smtp_new(struct event_base *base, const struct smtp_config *c, struct smtp **ret,
	     struct error *err) must_use;
/* Cuts what is under way without calling back. */
void smtp_free(struct smtp **s);
/* recipients one a line; data is copied. -EINVAL: no usable recipient; -EPERM or so: the password
 * file. done is called later, never from within. */
int smtp_send(struct smtp *s, const char *from, const char *recipients, const void *data,
	      size_t len, smtp_done *done, void *arg, struct error *err) must_use;
const char *smtp_verdict_word(enum smtp_verdict v);

#endif
