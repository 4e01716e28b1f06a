/* SPDX-License-Identifier: Apache-2.0 */
/* Values in PostgreSQL's binary formats, both ways (its src/backend/utils/adt/ *send and *recv). */
#include "collector/store/db_conn.h"

#include <errno.h>
#include <libpq-fe.h>
#include <math.h>
#include <string.h>

/* Microseconds from 1970-01-01 to PostgreSQL's epoch, 2000-01-01. */
#define PG_EPOCH_US 946684800000000LL

/* Numbers of types: the server's catalog pg_type, fixed for ever. */
#define OID_TEXT   25
#define OID_INT4   23
#define OID_INT8   20
#define OID_FLOAT4 700
#define OID_TIME   1184

static const uint32_t oids[] = {
	[DB_NULL] = 0,          [DB_BOOL] = 16,
	[DB_INT2] = 21,         [DB_INT4] = OID_INT4,
	[DB_INT8] = OID_INT8,   [DB_FLOAT8] = 701,
	[DB_TEXT] = OID_TEXT,   [DB_BYTES] = 17,
	[DB_UUID] = 2950,       [DB_TIME] = OID_TIME,
	[DB_JSON] = 3802,       [DB_INT8_ARRAY] = 1016,
	[DB_INT4_ARRAY] = 1007, [DB_TIME_ARRAY] = 1185,
	[DB_TEXT_ARRAY] = 1009, [DB_FLOAT4_ARRAY] = 1021,
	[DB_IDENT] = 0,
};

static void put_float(struct buf *b, double d)
{
	uint64_t raw;

	memcpy(&raw, &d, sizeof(raw));
	buf_be64(b, raw);
}

/* One dimension from 1; an empty array has no dimension. */
static void put_array_head(struct buf *b, uint32_t element, size_t n, bool has_nulls)
{
	buf_be32(b, n ? 1 : 0);
	buf_be32(b, has_nulls);
	buf_be32(b, element);
	if (!n)
		return;
	buf_be32(b, (uint32_t)n);
	buf_be32(b, 1);
}

#define ELEMENT_NULL UINT32_MAX /* as a length */

static void put_int8s(struct buf *b, uint32_t element, const struct db_param *p)
{
	const int64_t *v = p->p;

	put_array_head(b, element, p->n, false);
	for (size_t i = 0; i < p->n; i++) {
		buf_be32(b, 8);
		buf_be64(b, (uint64_t)(element == OID_TIME ? v[i] - PG_EPOCH_US : v[i]));
	}
}

static void put_int4s(struct buf *b, const struct db_param *p)
{
	const int64_t *v = p->p;
	bool has_nulls = false;

	for (size_t i = 0; i < p->n; i++)
		has_nulls |= v[i] == DB_ABSENT;
	put_array_head(b, OID_INT4, p->n, has_nulls);
	for (size_t i = 0; i < p->n; i++) {
		buf_be32(b, v[i] == DB_ABSENT ? ELEMENT_NULL : 4);
		if (v[i] != DB_ABSENT)
			buf_be32(b, (uint32_t)v[i]);
	}
}

static void put_float4s(struct buf *b, const struct db_param *p)
{
	const double *v = p->p;
	bool has_nulls = false;

	for (size_t i = 0; i < p->n; i++)
		has_nulls |= isnan(v[i]);
	put_array_head(b, OID_FLOAT4, p->n, has_nulls);
	for (size_t i = 0; i < p->n; i++) {
		float f = (float)v[i];
		uint32_t raw;

		memcpy(&raw, &f, sizeof(raw));
		buf_be32(b, isnan(v[i]) ? ELEMENT_NULL : 4);
		if (!isnan(v[i]))
			buf_be32(b, raw);
	}
}

static void put_texts(struct buf *b, const struct db_param *p)
{
	const char *const *v = p->p;

	put_array_head(b, OID_TEXT, p->n, false);
	for (size_t i = 0; i < p->n; i++) {
		const char *s = v[i] ? v[i] : "";

		buf_be32(b, (uint32_t)strlen(s));
		buf_puts(b, s);
	}
}

static void put_value(struct buf *b, const struct db_param *p)
{
	switch (p->type) {
	case DB_NULL:
		break;
	case DB_BOOL:
		buf_u8(b, p->i != 0);
		break;
	case DB_INT2:
		buf_be16(b, (uint16_t)p->i);
		break;
	case DB_INT4:
		buf_be32(b, (uint32_t)p->i);
		break;
	case DB_INT8:
		buf_be64(b, (uint64_t)p->i);
		break;
	case DB_FLOAT8:
		put_float(b, p->d);
		break;
	case DB_TIME:
		buf_be64(b, (uint64_t)(p->i - PG_EPOCH_US));
		break;
	case DB_JSON:
		buf_u8(b, 1); /* jsonb's version */
		buf_puts(b, p->p);
		break;
	case DB_TEXT:
	case DB_IDENT:
		buf_puts(b, p->p);
		break;
	case DB_BYTES:
	case DB_UUID:
		buf_put(b, p->p, p->n);
		break;
	case DB_INT8_ARRAY:
		put_int8s(b, OID_INT8, p);
		break;
	case DB_INT4_ARRAY:
		put_int4s(b, p);
		break;
	case DB_FLOAT4_ARRAY:
		put_float4s(b, p);
		break;
	case DB_TIME_ARRAY:
		put_int8s(b, OID_TIME, p);
		break;
	case DB_TEXT_ARRAY:
		put_texts(b, p);
		break;
	}
}

int db_values_init(struct db_values *v, const struct db_param *params, size_t n)
{
	if (n > DB_MAX_PARAMS)
		return -E2BIG;
	buf_init(&v->data, DB_MAX_MESSAGE);
	v->n = (int)n;
	for (size_t i = 0; i < n; i++) {
		v->oids[i] = oids[params[i].type];
		v->types[i] = (uint8_t)params[i].type;
		v->offsets[i] = v->data.len;
		put_value(&v->data, &params[i]);
		v->lengths[i] = (int)(v->data.len - v->offsets[i]);
		buf_u8(&v->data, 0); /* an identifier is used as a string */
	}
	if (buf_status(&v->data) == 0)
		return 0;
	buf_fini(&v->data);
	return -ENOMEM;
}

void db_values_fini(struct db_values *v)
{
	buf_fini(&v->data);
}

void db_values_pointers(const struct db_values *v, const char *out[DB_MAX_PARAMS])
{
	for (int i = 0; i < v->n; i++)
		out[i] = v->types[i] == DB_NULL ? NULL : (const char *)v->data.data + v->offsets[i];
}

bool db_has_ident(const struct db_values *v)
{
	return v->n && v->types[0] == DB_IDENT;
}

int db_expand(struct pg_conn *pg, const char *sql, const struct db_values *v, struct buf *out)
{
	const char *at;

	while ((at = strstr(sql, ":\""))) {
		int i = at[2] - '1';
		char *quoted;

		if (i < 0 || i >= v->n || at[3] != '"')
			return -EINVAL;
		quoted = PQescapeIdentifier(pg, (const char *)v->data.data + v->offsets[i],
					    (size_t)v->lengths[i]);
		if (!quoted)
			return -EINVAL;
		buf_put(out, sql, (size_t)(at - sql));
		buf_puts(out, quoted);
		PQfreemem(quoted);
		sql = at + 4;
	}
	buf_puts(out, sql);
	return buf_status(out);
}

void db_copy_begin(struct buf *b)
{
	static const char signature[11] = "PGCOPY\n\377\r\n";

	buf_put(b, signature, sizeof(signature));
	buf_be32(b, 0); /* flags */
	buf_be32(b, 0); /* length of the header's extension */
}

void db_copy_row(struct buf *b, unsigned columns)
{
	buf_be16(b, (uint16_t)columns);
}

void db_copy_field(struct buf *b, const struct db_param *p)
{
	size_t at = b->len;
	uint32_t len;

	buf_be32(b, UINT32_MAX); /* NULL */
	if (p->type == DB_NULL)
		return;
	put_value(b, p);
	if (b->failed)
		return;
	len = (uint32_t)(b->len - at - 4);
	for (unsigned i = 0; i < 4; i++)
		b->data[at + i] = (uint8_t)(len >> (24 - 8 * i));
}

void db_copy_end(struct buf *b)
{
	buf_be16(b, UINT16_MAX);
}

size_t db_rows(const struct db_result *r)
{
	return (size_t)PQntuples(r->pg);
}

size_t db_columns(const struct db_result *r)
{
	return (size_t)PQnfields(r->pg);
}

int64_t db_affected(const struct db_result *r)
{
	return strtoll(PQcmdTuples(r->pg), NULL, 10);
}

bool db_is_null(const struct db_result *r, size_t row, unsigned col)
{
	return PQgetisnull(r->pg, (int)row, (int)col);
}

const uint8_t *db_bytes(const struct db_result *r, size_t row, unsigned col, size_t *len)
{
	*len = (size_t)PQgetlength(r->pg, (int)row, (int)col);
	return (const uint8_t *)PQgetvalue(r->pg, (int)row, (int)col);
}

/* Big-endian, sign-extended from its width. */
int64_t db_int(const struct db_result *r, size_t row, unsigned col)
{
	size_t len;
	const uint8_t *p = db_bytes(r, row, col, &len);
	uint64_t v;

	if (len == 0 || len > 8)
		return 0;
	v = len > 1 && p[0] & 0x80 ? UINT64_MAX : 0;
	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

double db_float(const struct db_result *r, size_t row, unsigned col)
{
	int64_t raw = db_int(r, row, col);
	double d;

	memcpy(&d, &raw, sizeof(d));
	return d;
}

const char *db_text(const struct db_result *r, size_t row, unsigned col)
{
	return PQgetvalue(r->pg, (int)row, (int)col);
}

int64_t db_time(const struct db_result *r, size_t row, unsigned col)
{
	return db_is_null(r, row, col) ? 0 : db_int(r, row, col) + PG_EPOCH_US;
}

const char *db_sqlstate(const struct db_result *r)
{
	const char *state = PQresultErrorField(r->pg, PG_DIAG_SQLSTATE);

	return state ? state : "";
}

/* X(prefix of SQLSTATE, errno): the first that fits. */
#define SQLSTATE_LIST(X)      \
	X("23505", EEXIST)    \
	X("22", EINVAL)       \
	X("23", EINVAL)       \
	X("54", EINVAL)       \
	X("40", EAGAIN)       \
	X("55P03", EAGAIN)    \
	X("57014", ETIMEDOUT) \
	X("53100", ENOSPC)    \
	X("42501", EACCES)

int db_result_errno(const struct pg_result *pg)
{
	ExecStatusType status = PQresultStatus(pg);
	const char *state;

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN)
		return 0;
	state = PQresultErrorField(pg, PG_DIAG_SQLSTATE);
	if (!state)
		return -EPIPE;
#define X(prefix, code)                                      \
	if (strncmp(state, prefix, sizeof(prefix) - 1) == 0) \
		return -code;
	SQLSTATE_LIST(X)
#undef X
	return -EIO;
}

void db_result_error(const struct pg_result *pg, const char *what, struct error *err)
{
	const char *primary = PQresultErrorField(pg, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(pg, PG_DIAG_MESSAGE_DETAIL);
	const char *state = PQresultErrorField(pg, PG_DIAG_SQLSTATE);

	error_set(err, 0, "%s: %s%s%s (%s)", what, primary ? primary : PQresultErrorMessage(pg),
		  detail ? ", " : "", detail ? detail : "", state ? state : "no answer");
}
