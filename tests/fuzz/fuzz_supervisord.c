/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisord answers, its configuration, and a line of /proc/net/unix. */
#include <stdlib.h>
#include <string.h>

#include "agent/act/supervisord_conf.h"
#include "agent/act/xmlrpc.h"

static int on_member(void *arg, const struct xmlrpc_member *m)
{
	if (strlen(m->text) >= XMLRPC_VALUE_SIZE || strlen(m->name) >= XMLRPC_NAME_SIZE)
		abort();
	++*(size_t *)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct supervisord_conf *c = calloc(1, sizeof(*c));
	char name[SUPERVISORD_WORD_SIZE];
	char path[SUPERVISORD_PATH_SIZE];
	struct error err;
	size_t n = 0;
	char *text = malloc(size + 1);
	uint64_t inode;
	unsigned levels;

	if (!c || !text)
		abort();
	(void)!xmlrpc_read((const char *)data, size, on_member, &n, &err);
	memcpy(text, data, size);
	text[size] = '\0';
	(void)supervisord_parse_unix(text, &inode, path);
	(void)supervisord_nspid(text, 1, &levels);
	(void)supervisord_conf_named(text, size);
	supervisord_conf_add(c, "/etc", text);
	(void)!supervisord_conf_comes_back(c, (const char *)data, size, true, name, &err);
	supervisord_conf_free(&c);
	free(text);
	return 0;
}
