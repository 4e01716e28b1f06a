/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question.h - what sense asks memherd-names, and what comes back.
 *
 * A SOCK_SEQPACKET pair, one struct a packet, either side in the byte order of the machine. The
 * answer comes when it comes, or never (names died): the asker does not wait and asks again later.
 * Both judge what they get as if it came from anyone.
 */
#ifndef MEMHERD_AGENT_NAMES_QUESTION_H
#define MEMHERD_AGENT_NAMES_QUESTION_H

#include <stdint.h>

#define NAMES_ID_LEN    64 /* hex digits, lower case */
#define NAMES_TEXT_SIZE 256

struct names_question {
	char id[NAMES_ID_LEN];
};

enum names_status {
	NAMES_KNOWN = 0,
	NAMES_UNKNOWN = 1, /* no engine knows that container */
	NAMES_TROUBLE = 2, /* none could be asked, or it answered nonsense */
};

/* Texts end with NUL, are safe (str_is_safe) and may be empty. */
struct names_answer {
	char id[NAMES_ID_LEN];
	uint32_t status;               /* enum names_status */
	char name[NAMES_TEXT_SIZE];    /* 'shop_web_1' */
	char service[NAMES_TEXT_SIZE]; /* what its replicas share: 'shop_web'; else as name */
	char image[NAMES_TEXT_SIZE];
};

#endif
