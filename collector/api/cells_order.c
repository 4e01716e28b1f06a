/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the cells' rows; pure, apart from cells.c so that a test needs no loop. */
#include <errno.h>
#include <string.h>

#include "collector/api/cells.h"

static int compare_digits(const char *x, const char *y)
{
	size_t a = strlen(x), b = strlen(y);

	return a != b ? (a < b ? -1 : 1) : strcmp(x, y);
}

static int compare_text(const struct cells_list *list, const json_t *a, const json_t *b)
{
	const char *x = json_string_value(json_object_get(a, list->key));
	const char *y = json_string_value(json_object_get(b, list->key));

	if (!x || !y) /* what lacks its key comes last */
		return list->ascending ? !x - !y : !y - !x;
	return list->order == CELLS_DIGITS ? compare_digits(x, y) : strcmp(x, y);
}

static int compare_numbers(const struct cells_list *list, const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, list->key);
	const json_t *y = json_object_get(b, list->key);
	double v = json_number_value(x);
	double w = json_number_value(y);

	if (!json_is_number(x) || !json_is_number(y)) {
		int order = !json_is_number(x) - !json_is_number(y);

		return list->ascending ? order : -order;
	}
	return (v > w) - (v < w);
}

int cells_compare(const struct cells_list *list, const json_t *a, const json_t *b)
{
	int order = list->order == CELLS_NUMBER ? compare_numbers(list, a, b)
						: compare_text(list, a, b);

	return list->ascending ? order : -order;
}

static int check_row(const struct cells_list *list, const json_t *row, const json_t *before,
		     size_t i, struct error *err)
{
	const json_t *key = json_object_get(row, list->key);

	if (!json_is_object(row))
		return error_set(err, -EBADMSG, "row %zu of its answer is no object", i + 1);
	if (list->order != CELLS_NUMBER)
		return 0;
	if (!json_is_number(key) && !json_is_null(key))
		return error_set(err, -EBADMSG, "row %zu of its answer has no number as '%s'",
				 i + 1, list->key);
	if (before && cells_compare(list, before, row) > 0)
		return error_set(err, -EBADMSG, "row %zu of its answer is out of order by '%s'",
				 i + 1, list->key);
	return 0;
}

int cells_check(const struct cells_list *list, const json_t *answer, struct error *err)
{
	const json_t *rows = json_object_get(answer, "items");
	const json_t *row;
	size_t i;
	int rc = 0;

	if (!json_is_object(answer) || (*list->key && !json_is_array(rows)))
		return error_set(err, -EBADMSG, "its answer is not what a collector says");
	for (i = 0; rc == 0 && *list->key && (row = json_array_get(rows, i)); i++)
		rc = check_row(list, row, i ? json_array_get(rows, i - 1) : NULL, i, err);
	return rc;
}
