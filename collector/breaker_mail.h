/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker_mail.h - the mail that says that a rule's action stands still: dispatch's 'tripped'.
 */
#ifndef MEMHERD_COLLECTOR_BREAKER_MAIL_H
#define MEMHERD_COLLECTOR_BREAKER_MAIL_H

#include "collector/store/store_command.h"

struct mailer;

/* row: actor, action and, in detail, a sentence. What cannot be sent is logged. */
void breaker_mail(struct mailer *m, const struct action_row *row);

#endif
