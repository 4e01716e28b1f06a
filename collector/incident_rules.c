/* SPDX-License-Identifier: Apache-2.0 */
/* The rules files, and the rules in force as REST shows them. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "collector/incident_inner.h"
#include "collector/rule/parse.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#define RULES_FILE_MAX (1024 * 1024)
#define PRINTED_MAX    65536

static int is_rules(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".rules");
}

static int load_file(struct rule_set *set, const char *path, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(RULES_FILE_MAX);
	int rc = fs_read(path, &b, err);

	if (rc < 0)
		return -EINVAL;
	return b.len ? rule_set_parse(set, path, (const char *)b.data, b.len, err) : 0;
}

int incident_load_rules(struct rule_set *set, const char *folder, struct error *err)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_rules, alphasort);
	int rc = 0;

	if (n < 0) {
		log_warn("rules_dir=\"%s\" cannot be read, so no rule is in force: %s", folder,
			 strerror(errno));
		return 0;
	}
	for (int i = 0; i < n; i++) {
		auto_free char *path = NULL;

		if (!rc && asprintf(&path, "%s/%s", folder, names[i]->d_name) < 0) {
			path = NULL;
			rc = error_set(err, -ENOMEM, "no memory for the rules");
		}
		if (!rc)
			rc = load_file(set, path, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

void incidents_write_rules(void *arg, struct json_writer *w)
{
	const struct incidents *all = arg;

	jw_key(w, "items");
	jw_array(w);
	for (unsigned n = 0; n < all->set->n_rules; n++) {
		const struct rule *r = all->set->rules[n];
		auto_buf struct buf text = BUF_INIT(PRINTED_MAX);

		rule_print_rule(&text, all->set, r);
		jw_object(w);
		jw_k_str(w, "name", r->name);
		jw_k_str(w, "subject", rule_kind_names[r->kind]);
		jw_k_str(w, "why", r->why);
		jw_k_str(w, "origin", r->origin);
		jw_k_int(w, "line", r->line);
		jw_k_str(w, "text", (const char *)text.data);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_k_null(w, "next_cursor");
}

int incidents_check_rules(void *arg unused_arg, const char *text, size_t len, struct error *err)
{
	struct rule_set *set = NULL;
	int rc = rule_set_new(&set);

	if (!rc)
		rc = rule_set_parse(set, "text", text, len, err);
	rule_set_free(&set);
	return rc;
}
