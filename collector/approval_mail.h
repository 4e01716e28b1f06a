/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval_mail.h - the mail that says that somebody's action waits for a second person: dispatch's
 * 'waits', where there is no alert whose mails tell.
 */
#ifndef MEMHERD_COLLECTOR_APPROVAL_MAIL_H
#define MEMHERD_COLLECTOR_APPROVAL_MAIL_H

#include "collector/store/store_command.h"

struct mailer;

/* What cannot be sent is logged. */
void approval_mail(struct mailer *m, const struct action_row *row);

#endif
