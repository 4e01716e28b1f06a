/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size);
	bool whole = n < size;

	if (!size)
		return false;
	if (!whole)
		n = size - 1;
	memmove(dst, src, n);
	dst[n] = '\0';
	return whole;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool str_glob(const char *pattern, const char *text)
{
	const char *star = NULL;
	const char *mark = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			/* The last '*' takes one byte more. */
			pattern = star;
			text = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

char *str_trim(char *s)
{
	size_t n;

	while (*s && strchr(" \t\r\n", *s))
		s++;
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
	return s;
}

/*
 * The length of the valid UTF-8 character at p (RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF), or 0. C0 controls and DEL count as invalid here.
 */
static size_t utf8_char(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80;
	uint8_t hi = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > left)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	/* U+0080..U+009F are the C1 controls: some terminals obey them. */
	if (p[0] == 0xc2 && p[1] < 0xa0)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

size_t str_safe(char *dst, size_t size, const void *src, size_t len)
{
	const uint8_t *p = src;
	size_t out = 0;

	if (!size)
		return 0;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(p + i, len - i);
		size_t need = n ? n : 4;

		if (out + need >= size)
			break;
		if (n)
			memcpy(dst + out, p + i, n);
		else
			snprintf(dst + out, size - out, "\\x%02x", p[i]);
		out += need;
		i += n ? n : 1;
	}
	dst[out] = '\0';
	return out;
}

bool str_is_safe(const void *src, size_t len)
{
	const uint8_t *p = src;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(p + i, len - i);

		if (!n)
			return false;
		i += n;
	}
	return true;
}

int str_parse_int(const char *s, int64_t *ret)
{
	char *end;
	long long v;

	if (!isdigit((unsigned char)*s) && *s != '-')
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (end == s || *end)
		return -EINVAL;
	if (errno)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_parse_bool(const char *s, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"yes", true}, {"true", true},   {"on", true},   {"1", true},
		     {"no", false}, {"false", false}, {"off", false}, {"0", false}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(s, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

struct unit {
	const char *name;
	double scale;
};

/* A plain decimal number, then one of the units; the result is rounded. */
static int parse_scaled(const char *s, const struct unit *units, size_t n, int64_t *ret)
{
	char *end;
	double v;

	/* strtod would take 'inf', 'nan' and hex. */
	if (!isdigit((unsigned char)*s) || (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')))
		return -EINVAL;
	errno = 0;
	v = strtod(s, &end);
	if (errno)
		return -ERANGE;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(end, units[i].name) != 0)
			continue;
		v = round(v * units[i].scale);
		if (v >= 9.2e18)
			return -ERANGE;
		*ret = (int64_t)v;
		return 0;
	}
	return -EINVAL;
}

int str_parse_bytes(const char *s, int64_t *ret)
{
	/* K and KiB are 1024 alike: nobody who writes 'max = 512M' means 512,000,000. */
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"K", 1024.0},
		{"KiB", 1024.0},
		{"KB", 1024.0},
		{"M", 1048576.0},
		{"MiB", 1048576.0},
		{"MB", 1048576.0},
		{"G", 1073741824.0},
		{"GiB", 1073741824.0},
		{"GB", 1073741824.0},
		{"T", 1099511627776.0},
		{"TiB", 1099511627776.0},
		{"TB", 1099511627776.0},
	};

	return parse_scaled(s, units, ARRAY_SIZE(units), ret);
}

int str_parse_duration(const char *s, int64_t *ret_us)
{
	static const struct unit units[] = {
		{"", 1e6},  {"us", 1},    {"ms", 1e3},  {"s", 1e6},     {"sec", 1e6},
		{"m", 6e7}, {"min", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}, {"w", 6.048e11},
	};

	return parse_scaled(s, units, ARRAY_SIZE(units), ret_us);
}

static char *print_scaled(char *buf, double v, const char *unit)
{
	double a = fabs(v);

	snprintf(buf, STR_UNIT_SIZE, a < 9.95 && a != floor(a) ? "%.1f %s" : "%.0f %s", v, unit);
	return buf;
}

char *str_bytes(char buf[STR_UNIT_SIZE], int64_t bytes)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	size_t i = 0;

	while (fabs(v) >= 1024 && i + 1 < ARRAY_SIZE(names)) {
		v /= 1024;
		i++;
	}
	return print_scaled(buf, v, names[i]);
}

char *str_duration(char buf[STR_UNIT_SIZE], int64_t us)
{
	double s = (double)us / 1e6;
	double a = fabs(s);

	if (a < 1)
		return print_scaled(buf, s * 1000, "ms");
	if (a < 120)
		return print_scaled(buf, s, "s");
	if (a < 7200)
		return print_scaled(buf, s / 60, "min");
	if (a < 2 * 86400)
		return print_scaled(buf, s / 3600, "h");
	return print_scaled(buf, s / 86400, "d");
}

char *str_time(char buf[STR_TIME_SIZE], int64_t wall_us)
{
	int64_t sec = wall_us / 1000000;
	int64_t us = wall_us % 1000000;
	time_t t;
	struct tm tm;
	size_t n;

	if (us < 0) {
		us += 1000000;
		sec--;
	}
	t = (time_t)sec;
	if (!gmtime_r(&t, &tm))
		memset(&tm, 0, sizeof(tm));
	n = strftime(buf, STR_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, STR_TIME_SIZE - n, ".%03dZ", (int)(us / 1000));
	return buf;
}

/* Exactly n digits at *s, which moves behind them; -1 when there are fewer. */
static int take_digits(const char **s, unsigned n)
{
	int v = 0;

	for (; n; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

/* As take_digits, then the one byte that must follow. */
static int take_part(const char **s, unsigned n, char behind)
{
	int v = take_digits(s, n);

	if (v < 0 || **s != behind)
		return -1;
	(*s)++;
	return v;
}

/* 'Z' or '+hh:mm' to the end of the text; seconds east of UTC. */
static int parse_offset(const char *s, int64_t *ret)
{
	int sign = *s == '-' ? -1 : 1;
	int h;
	int m;

	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0) {
		*ret = 0;
		return 0;
	}
	if (*s != '+' && *s != '-')
		return -EINVAL;
	s++;
	h = take_part(&s, 2, ':');
	m = h < 0 ? -1 : take_digits(&s, 2);
	if (m < 0 || h > 23 || m > 59 || *s)
		return -EINVAL;
	*ret = (int64_t)(h * 3600 + m * 60) * sign;
	return 0;
}

/* 'YYYY-MM-DDThh:mm:ss' into seconds since 1970; *s moves behind it. */
static int parse_date_time(const char **s, int64_t *ret)
{
	struct tm tm = {0};
	int leap;
	int sec;
	int day;

	tm.tm_year = take_part(s, 4, '-') - 1900;
	tm.tm_mon = tm.tm_year < -1900 ? -1 : take_part(s, 2, '-') - 1;
	day = tm.tm_mon < 0 ? -1 : take_part(s, 2, 'T');
	tm.tm_mday = day;
	tm.tm_hour = day < 1 ? -1 : take_part(s, 2, ':');
	tm.tm_min = tm.tm_hour < 0 ? -1 : take_part(s, 2, ':');
	tm.tm_sec = tm.tm_min < 0 ? -1 : take_digits(s, 2);
	if (tm.tm_sec < 0 || tm.tm_mon > 11 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	/* timegm turns the 31st of November into the 1st of December; a leap second may pass. */
	sec = MIN_OF(tm.tm_sec, 59);
	leap = tm.tm_sec - sec;
	tm.tm_sec = sec;
	*ret = timegm(&tm) + leap;
	return tm.tm_mday == day ? 0 : -EINVAL;
}

int str_parse_time(const char *s, int64_t now_us, int64_t *ret_us)
{
	int64_t offset;
	int64_t sec;
	int64_t us = 0;
	int64_t back;

	if (strcmp(s, "now") == 0) {
		*ret_us = now_us;
		return 0;
	}
	if (*s == '-') {
		if (str_parse_duration(s + 1, &back) < 0)
			return -EINVAL;
		*ret_us = now_us - back;
		return 0;
	}
	if (parse_date_time(&s, &sec) < 0)
		return -EINVAL;
	if (*s == '.') {
		int64_t scale = 100000;

		for (s++; isdigit((unsigned char)*s); s++, scale /= 10)
			us += (*s - '0') * scale;
	}
	if (parse_offset(s, &offset) < 0)
		return -EINVAL;
	*ret_us = (sec - offset) * 1000000 + us;
	return 0;
}

void str_hex(char *out, const void *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = src;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int str_unhex(void *out, size_t len, const char *hex)
{
	uint8_t *p = out;

	if (strlen(hex) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(hex[2 * i]);
		int lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static const char b64url_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int str_b64url(char *out, size_t size, const void *src, size_t len)
{
	const uint8_t *p = src;
	size_t n = 0;

	if (size < (len * 4 + 2) / 3 + 1)
		return -ENOSPC;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = MIN_OF(len - i, (size_t)3);
		uint32_t v = (uint32_t)p[i] << 16;

		if (have > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (have > 2)
			v |= p[i + 2];
		for (size_t k = 0; k <= have; k++)
			out[n++] = b64url_digits[(v >> (18 - 6 * k)) & 63];
	}
	out[n] = '\0';
	return (int)n;
}

int str_unb64url(void *out, size_t size, const char *text)
{
	uint8_t *p = out;
	size_t n = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	for (; *text; text++) {
		const char *at = strchr(b64url_digits, *text);

		if (!at)
			return -EINVAL;
		v = v << 6 | (uint32_t)(at - b64url_digits);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == size)
			return -ENOSPC;
		p[n++] = (uint8_t)(v >> bits);
		v &= (1U << bits) - 1;
	}
	/* Left-over bits must be zero, or two texts would stand for the same bytes. */
	if (bits >= 6 || v)
		return -EINVAL;
	return (int)n;
}

void uuid_text(char out[UUID_TEXT_SIZE], const uint8_t uuid[16])
{
	char hex[33];

	str_hex(hex, uuid, 16);
	snprintf(out, UUID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
}

int uuid_parse(uint8_t uuid[16], const char *text)
{
	char hex[33];
	size_t n = 0;

	if (strlen(text) != 36)
		return -EINVAL;
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (text[i] == '-'))
			return -EINVAL;
		if (!dash)
			hex[n++] = text[i];
	}
	hex[n] = '\0';
	return str_unhex(uuid, 16, hex);
}
