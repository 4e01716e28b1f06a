/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/journal_mail.h"

#include <stdio.h>

#include "collector/notice_mail.h"

void journal_mail(struct mailer *m, const char *host, const char *why)
{
	char subject[384], text[1536];

	snprintf(subject, sizeof(subject), "[memherd] %s: its journal of actions was changed",
		 host);
	snprintf(
		text, sizeof(text),
		"The journal in which memherd-actd on %s keeps what it did does not fit what it "
		"told before: %s.\n\nThat is so after the machine was put back to a copy, or the "
		"file was moved away or changed. On the host: memherd-actd journal --verify. Here: "
		"memherd audit verify.\n",
		host, why);
	notice_mail(m, "journal", NULL, subject, text);
}
