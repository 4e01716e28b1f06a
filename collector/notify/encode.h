/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.h - text into the forms that mail wants: header lines, quoted-printable, HTML. Pure.
 *
 * Everything that comes in may be hostile (a process may call itself anything): what goes out has
 * no control character but the line ends that belong to the form.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_ENCODE_H
#define MEMHERD_COLLECTOR_NOTIFY_ENCODE_H

#include <stdbool.h>

#include "common/buf.h"

/* 'Name: value' CRLF. A value that is not plain ASCII, is long or looks like an encoded word goes
 * out as RFC 2047 base64 words of at most 75 bytes, one a folded line, cut at whole characters.
 * Bytes that are no printable UTF-8 become \xNN first. */
void encode_header(struct buf *out, const char *name, const char *value);
/* RFC 2045 section 6.7: '\n' (or CRLF) in the input is a line end, lines are at most 76 bytes, CRLF
 * throughout; ends with CRLF. A '.' that begins a line is escaped, so no relay can cut there. */
void encode_quoted_printable(struct buf *out, const char *text, size_t len);
/* Text for an element's content or a quoted attribute; hostile bytes become \xNN. At most 'most'
 * bytes of it, then '...'. */
void encode_html(struct buf *out, const char *text, size_t most);
/* The same without the HTML escapes, for the text part. */
void encode_plain(struct buf *out, const char *text, size_t most);
/* One address of printable ASCII, 'local@domain', at most 254 bytes, nothing that could end a
 * header or an SMTP command. */
bool encode_is_address(const char *s);

#endif
