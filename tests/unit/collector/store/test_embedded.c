/* SPDX-License-Identifier: Apache-2.0 */
/* The private PostgreSQL: who runs it, that it dies with us, what its messages say. */
#include "collector/store/embedded.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "collector/store/embedded_bin.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/pg.h"

static void runs_as_somebody_else_and_answers(void **state unused_arg)
{
	struct embedded_config cfg;
	struct embedded *second;
	struct error err;
	char path[64];
	struct stat st;
	struct pg pg;

	pg_start(&pg);
	snprintf(path, sizeof(path), "/proc/%d", (int)embedded_pid(pg.server));
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_uid != 0);
	assert_int_equal(stat(pg.dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* a second collector on the same folder */
	cfg = (struct embedded_config){.dir = pg.dir};
	assert_int_equal(embedded_start(&cfg, &second, &err), -EBUSY);
	assert_says(err, "another collector");
	pg_stop(&pg);
}

/* A collector of its own with a server in dir. */
static pid_t other_collector(char *dir, pid_t *ret_server)
{
	struct embedded_config cfg = {.dir = dir};
	struct embedded *e;
	struct error err;
	int pipes[2];
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pid_t server;

		if (embedded_start(&cfg, &e, &err) < 0)
			_exit(1);
		server = embedded_pid(e);
		if (write(pipes[1], &server, sizeof(server)) != sizeof(server))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], ret_server, sizeof(*ret_server)), sizeof(*ret_server));
	close(pipes[0]);
	close(pipes[1]);
	return child;
}

/* The server's process that writes the last checkpoint: it does not go down before. */
static pid_t checkpointer(pid_t server)
{
	char path[64], line[256] = "";
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server, (int)server);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!strstr(line, "checkpointer") && fscanf(f, "%d", &pid) == 1) {
		FILE *cmdline;

		snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		cmdline = fopen(path, "re");
		if (!cmdline || !fgets(line, sizeof(line), cmdline))
			line[0] = '\0';
		if (cmdline)
			fclose(cmdline);
	}
	fclose(f);
	assert_non_null(strstr(line, "checkpointer"));
	return pid;
}

/* A collector that is killed takes its server with it, and the next one starts. */
static void dies_with_its_parent(void **state unused_arg)
{
	char dir[] = "/tmp/memherd-test-XXXXXX";
	struct embedded_config cfg = {.dir = dir};
	struct embedded *e;
	struct error err;
	pid_t server, child;
	int64_t end;

	assert_non_null(mkdtemp(dir));
	child = other_collector(dir, &server);
	assert_int_equal(kill(server, 0), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (embedded_start(&cfg, &e, &err) < 0) /* while the first is still going down */
		fail_msg("%s", err.msg);
	for (end = clock_boot_us() + 10 * USEC_PER_SEC; kill(server, 0) == 0; usleep(10000))
		assert_true(clock_boot_us() < end);
	assert_true(embedded_pid(e) != server);
	embedded_free(&e);
	nftw(dir, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Its last checkpoint may take seconds, in which it turns the next collector away in its log. */
static void waits_for_the_server_before(void **state unused_arg)
{
	char dir[] = "/tmp/memherd-test-XXXXXX";
	struct embedded_config cfg = {.dir = dir};
	struct embedded *e;
	struct error err;
	pid_t server, child, last, waker;
	int rc;

	assert_non_null(mkdtemp(dir));
	child = other_collector(dir, &server);
	last = checkpointer(server);
	kill(last, SIGSTOP);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	waker = fork();
	assert_true(waker >= 0);
	if (waker == 0) {
		sleep(3);
		kill(last, SIGCONT);
		_exit(0);
	}
	rc = embedded_start(&cfg, &e, &err);
	waitpid(waker, NULL, 0);
	if (rc < 0)
		fail_msg("%s", err.msg);
	assert_true(embedded_pid(e) != server);
	embedded_free(&e);
	nftw(dir, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void messages_say_what_to_do(void **state unused_arg)
{
	char dir[64] = "/tmp/memherd-test-XXXXXX", path[256];
	struct embedded_config cfg = {.dir = "relative"};
	struct embedded *e;
	struct error err;
	FILE *f;

	assert_int_equal(embedded_start(&cfg, &e, &err), -EINVAL);
	assert_says(err, "absolute");
	cfg.dir =
		"/tmp/this-folder-has-a-name-that-is-so-long-that-no-unix-socket-could-be-made-in-"
		"it-any-more-at-all";
	assert_int_equal(embedded_start(&cfg, &e, &err), -ENAMETOOLONG);
	assert_non_null(mkdtemp(dir));
	cfg = (struct embedded_config){.dir = dir, .bin_dir = "/nonexistent"};
	assert_int_equal(embedded_start(&cfg, &e, &err), -ENOENT);
	assert_says(err, "apt install postgresql");
	snprintf(path, sizeof(path), "%s/data", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/data/PG_VERSION", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("9\n", f);
	fclose(f);
	cfg.bin_dir = NULL;
	assert_int_equal(embedded_start(&cfg, &e, &err), -ENOENT);
	assert_says(err, "made by PostgreSQL 9");
	nftw(dir, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void a_damaged_folder_is_told_from_the_log(void **state unused_arg)
{
	struct embedded_config cfg;
	struct embedded *e;
	struct error err;
	char path[128];
	struct pg pg;

	pg_start(&pg);
	embedded_free(&pg.server);
	snprintf(path, sizeof(path), "%s/data/global/pg_control", pg.dir);
	assert_int_equal(unlink(path), 0);
	cfg = (struct embedded_config){.dir = pg.dir};
	assert_int_equal(embedded_start(&cfg, &e, &err), -EIO);
	assert_says(err, "pg_control");
	pg_stop(&pg);
}

static void its_log_is_bounded(void **state unused_arg)
{
	struct embedded_config cfg;
	struct error err;
	char path[128];
	struct stat st;
	struct pg pg;

	pg_start(&pg);
	embedded_free(&pg.server);
	snprintf(path, sizeof(path), "%s/server.log", pg.dir);
	assert_int_equal(truncate(path, 17 << 20), 0);
	cfg = (struct embedded_config){.dir = pg.dir};
	if (embedded_start(&cfg, &pg.server, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0 && st.st_size < 1 << 20);
	strcat(path, ".1");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 17 << 20);
	pg_stop(&pg);
}

/* Whoever has taken over the database's user must not write as root by it. */
static void nothing_is_written_with_more_than_its_rights(void **state unused_arg)
{
	struct embedded_config cfg;
	struct embedded *e;
	struct error err;
	char roots[] = "/tmp/memherd-test-XXXXXX";
	char data[128], aside[128], path[128];
	struct pg pg;

	if (geteuid() != 0)
		skip();
	pg_start(&pg);
	embedded_free(&pg.server);
	assert_non_null(mkdtemp(roots));
	snprintf(path, sizeof(path), "%s/PG_VERSION", roots);
	assert_int_equal(fs_write(path, 0600, "15\n", 3, NULL), 0);
	snprintf(data, sizeof(data), "%s/data", pg.dir);
	snprintf(aside, sizeof(aside), "%s/aside", pg.dir);
	assert_int_equal(rename(data, aside), 0);
	assert_int_equal(symlink(roots, data), 0);
	cfg = (struct embedded_config){.dir = pg.dir};
	assert_int_equal(embedded_start(&cfg, &e, &err), -EACCES);
	snprintf(path, sizeof(path), "%s/pg_hba.conf", roots);
	assert_true(access(path, F_OK) < 0);
	pg_stop(&pg);
	nftw(roots, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_as_somebody_else_and_answers),
		cmocka_unit_test(dies_with_its_parent),
		cmocka_unit_test(waits_for_the_server_before),
		cmocka_unit_test(messages_say_what_to_do),
		cmocka_unit_test(its_log_is_bounded),
		cmocka_unit_test(nothing_is_written_with_more_than_its_rights),
		cmocka_unit_test(a_damaged_folder_is_told_from_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
