/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice_mail.h - a mail that stands alone: no alert's mails tell of it. What the mails of actions
 * (approval_mail, breaker_mail, journal_mail) have in common.
 */
#ifndef MEMHERD_COLLECTOR_NOTICE_MAIL_H
#define MEMHERD_COLLECTOR_NOTICE_MAIL_H

struct mailer;

/* what: a word that names it in the log and begins its thread; id: of what it tells of, letters,
 * digits and '-', NULL = of this moment. That mail is off is no news; what cannot be sent is
 * logged. */
void notice_mail(struct mailer *m, const char *what, const char *id, const char *subject,
		 const char *text);

#endif
