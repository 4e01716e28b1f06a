/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/trace_print.h"

#include <inttypes.h>

#include "agent/act/tracemalloc.h"
#include "common/json.h"
#include "common/str.h"

#define JSON_MAX (256u << 10)

static void print_json(FILE *out, const struct buf *answer)
{
	auto_buf struct buf text = BUF_INIT(JSON_MAX);
	struct json_writer w;
	struct trace_site s;
	const char *at = NULL;

	jw_init(&w, &text);
	jw_array(&w);
	while (trace_next(answer, &at, &s)) {
		jw_object(&w);
		jw_k_str(&w, "place", s.place);
		jw_k_int(&w, "grown_bytes", s.grew);
		jw_k_int(&w, "more_blocks", s.more);
		jw_k_int(&w, "bytes", s.size);
		jw_k_int(&w, "blocks", s.count);
		jw_k_str(&w, "called_from", *s.back ? s.back : NULL);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	fputs(", \"sites\": ", out);
	if (buf_status(&text) == 0)
		fwrite(text.data, 1, text.len, out);
	else
		fputs("null", out);
}

void trace_print(FILE *out, const struct buf *answer, bool json)
{
	struct trace_site s;
	const char *at = NULL;

	if (json) {
		print_json(out, answer);
		return;
	}
	while (trace_next(answer, &at, &s)) {
		char grew[STR_UNIT_SIZE];
		char size[STR_UNIT_SIZE];

		fprintf(out, "%10s  %+9" PRId64 " blocks  (%s in %" PRId64 ")  %s\n",
			str_bytes(grew, s.grew), s.more, str_bytes(size, s.size), s.count, s.place);
		if (*s.back)
			fprintf(out, "%24sfrom %s\n", "", s.back);
	}
}
