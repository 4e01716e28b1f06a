/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_mail.h - the mail that says that a host's journal of actions was changed: dispatch's
 * 'journal_broken'.
 */
#ifndef MEMHERD_COLLECTOR_JOURNAL_MAIL_H
#define MEMHERD_COLLECTOR_JOURNAL_MAIL_H

struct mailer;

/* why: a sentence. What cannot be sent is logged. */
void journal_mail(struct mailer *m, const char *host, const char *why);

#endif
