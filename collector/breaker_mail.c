/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/breaker_mail.h"

#include <stdio.h>

#include "collector/notice_mail.h"

void breaker_mail(struct mailer *m, const struct action_row *row)
{
	char subject[128], text[COMMAND_DETAIL_SIZE + 512];

	snprintf(subject, sizeof(subject), "[memherd] %s of %s stopped", row->action, row->actor);
	snprintf(text, sizeof(text),
		 "%s.\n\nThe rule's alerts are told all the same. What was done and what came of "
		 "it: "
		 "memherd actions.\nTo have it tried again before: memherd breakers close %s %s\n",
		 row->detail, row->actor, row->action);
	notice_mail(m, "breaker", NULL, subject, text);
}
