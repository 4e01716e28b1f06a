/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common/fs.h"
#include "common/str.h"

#define DEFAULT_URL        "http://127.0.0.1:7420"
#define DEFAULT_TOKEN_FILE "/var/lib/memherd-collector/admin.token"
#define TOKEN_MAX          256

enum {
	OPT_URL = 256,
	OPT_TOKEN_FILE,
	OPT_JSON,
	OPT_DRY_RUN,
	OPT_WAIT,
	OPT_TTL,
	OPT_USES,
	OPT_NOTE,
	OPT_STATE,
	OPT_HOST,
	OPT_REASON,
	OPT_FROM,
	OPT_UNTIL,
	OPT_LIMIT,
	OPT_TOP,
	OPT_DIFF,
	OPT_NOW,
	OPT_KIND,
	OPT_SORT,
	OPT_SIGN_KEY,
	OPT_PARAM, /* and the name's place; the last */
};

static const struct option fixed[] = {
	{"url", required_argument, NULL, OPT_URL},
	{"token-file", required_argument, NULL, OPT_TOKEN_FILE},
	{"json", no_argument, NULL, OPT_JSON},
	{"yes", no_argument, NULL, 'y'},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"wait", no_argument, NULL, OPT_WAIT},
	{"ttl", required_argument, NULL, OPT_TTL},
	{"uses", required_argument, NULL, OPT_USES},
	{"note", required_argument, NULL, OPT_NOTE},
	{"state", required_argument, NULL, OPT_STATE},
	{"host", required_argument, NULL, OPT_HOST},
	{"reason", required_argument, NULL, OPT_REASON},
	{"from", required_argument, NULL, OPT_FROM},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"top", required_argument, NULL, OPT_TOP},
	{"diff", optional_argument, NULL, OPT_DIFF},
	{"now", no_argument, NULL, OPT_NOW},
	{"kind", required_argument, NULL, OPT_KIND},
	{"sort", required_argument, NULL, OPT_SORT},
	{"sign-key", required_argument, NULL, OPT_SIGN_KEY},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
};

/* The names of parameters that no option above has. */
static void add_params(struct option *to)
{
	const char *name;

	for (size_t i = 0; i < CLI_PARAMS_MAX && (name = command_param_name(i)); i++) {
		size_t n = 0;

		while (n < ARRAY_SIZE(fixed) && strcmp(fixed[n].name, name) != 0)
			n++;
		if (n == ARRAY_SIZE(fixed))
			*to++ = (struct option){name, required_argument, NULL, OPT_PARAM + (int)i};
	}
	*to = (struct option){0};
}

/* A value may be an action's parameter, whatever else the option's name stands for. */
static void take_param(struct cli *c, const char *option)
{
	const char *name;

	for (size_t i = 0; i < CLI_PARAMS_MAX && (name = command_param_name(i)); i++)
		if (strcmp(name, option) == 0)
			c->params[i] = optarg;
}

static void usage(FILE *out)
{
	fputs("usage: memherd COMMAND [ARGUMENTS] [OPTIONS]\n\n", out);
	for (const struct cli_command *k = cli_commands; k->name; k++)
		fprintf(out, "  %-13s %s\n  %-13s   %s\n", k->name, k->help, "", k->usage);
	fputs("\n  --json             print what REST answered\n"
	      "  --url URL          collector (MEMHERD_URL, default " DEFAULT_URL ")\n"
	      "  --sign-key FILE    sign an action with an operator's key, too (with --ttl 1h), "
	      "for\n"
	      "                     hosts whose policy says signed=yes\n"
	      "  --token-file FILE  bearer token (MEMHERD_TOKEN, default " DEFAULT_TOKEN_FILE ")\n"
	      "  --version, --help\n\n"
	      "Exit codes: 0 ok, 1 failed, 2 usage, 3 not allowed, 4 not found, 5 unreachable, "
	      "6 a cell\n"
	      "did not answer, 124 timeout.\n",
	      out);
}

struct place {
	const char *url;
	const char *token_file;
};

static void take_option(struct cli *c, struct place *at, int opt)
{
	switch (opt) {
	case OPT_URL:
		at->url = optarg;
		break;
	case OPT_TOKEN_FILE:
		at->token_file = optarg;
		break;
	case OPT_JSON:
		c->json = true;
		break;
	case 'y':
		c->yes = true;
		break;
	case OPT_DRY_RUN:
		c->dry_run = true;
		break;
	case OPT_WAIT:
		c->wait = true;
		break;
	case OPT_TTL:
		c->ttl = optarg;
		break;
	case OPT_USES:
		c->uses = optarg;
		break;
	case OPT_NOTE:
		c->note = optarg;
		break;
	case OPT_STATE:
		c->state = optarg;
		break;
	case OPT_HOST:
		c->host = optarg;
		break;
	case OPT_REASON:
		c->reason = optarg;
		break;
	case OPT_FROM:
		c->from = optarg;
		break;
	case OPT_UNTIL:
		c->until = optarg;
		break;
	case OPT_LIMIT:
		c->limit = optarg;
		break;
	case OPT_TOP:
		c->top = optarg;
		break;
	case OPT_DIFF:
		c->diff = true;
		c->base = optarg;
		break;
	case OPT_KIND:
		c->kind = optarg;
		break;
	case OPT_SORT:
		c->sort = optarg;
		break;
	case OPT_SIGN_KEY:
		c->sign_key = optarg;
		break;
	case OPT_NOW:
		c->now = true;
		break;
	default:
		break;
	}
}

/* A named file must be readable; the default one may be missing: then REST says what it thinks. */
static int find_token(const struct place *at, char token[TOKEN_MAX], struct error *err)
{
	const char *env = getenv("MEMHERD_TOKEN");
	auto_buf struct buf b = BUF_INIT(TOKEN_MAX - 1);
	int rc;

	*token = '\0';
	if (!at->token_file && env)
		return str_copy(token, TOKEN_MAX, env)
			       ? 0
			       : error_set(err, -EINVAL, "MEMHERD_TOKEN is too long");
	rc = fs_read(at->token_file ? at->token_file : DEFAULT_TOKEN_FILE, &b, err);
	if (rc < 0)
		return at->token_file ? rc : 0;
	if (b.len)
		str_copy(token, TOKEN_MAX, str_trim((char *)b.data));
	return 0;
}

static int run(struct cli *c, const struct place *at, const char *name)
{
	const struct cli_command *k = cli_commands;
	char token[TOKEN_MAX];
	struct error err = {""};
	int code;

	while (k->name && strcmp(k->name, name) != 0)
		k++;
	if (!k->name) {
		fprintf(stderr, "memherd: no command '%s' (memherd --help lists them)\n", name);
		return CLI_USAGE;
	}
	if (c->n_args < k->min_args || c->n_args > k->max_args)
		return cli_usage(name);
	if (find_token(at, token, &err) < 0 || rest_new(at->url, token, &c->rest, &err) < 0) {
		fprintf(stderr, "memherd: %s\n", err.msg);
		return CLI_USAGE;
	}
	code = k->run(c);
	rest_free(&c->rest);
	return code;
}

int main(int argc, char **argv)
{
	const char *env = getenv("MEMHERD_URL");
	struct place at = {.url = env ? env : DEFAULT_URL};
	struct cli c = {.tty = isatty(STDOUT_FILENO)};
	struct option longs[ARRAY_SIZE(fixed) + CLI_PARAMS_MAX + 1];
	int place = -1;
	int opt;

	memcpy(longs, fixed, sizeof(fixed));
	add_params(longs + ARRAY_SIZE(fixed));
	setlocale(LC_CTYPE, "");
	while ((opt = getopt_long(argc, argv, "yVh", longs, &place)) != -1) {
		if (opt == '?')
			return CLI_USAGE;
		if (opt == 'V') {
			puts("memherd " MEMHERD_VERSION);
			return CLI_OK;
		}
		if (opt == 'h') {
			usage(stdout);
			return CLI_OK;
		}
		take_option(&c, &at, opt);
		if (optarg && place >= 0)
			take_param(&c, longs[place].name);
		place = -1;
	}
	if (optind == argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	c.args = argv + optind + 1;
	c.n_args = argc - optind - 1;
	return run(&c, &at, argv[optind]);
}
