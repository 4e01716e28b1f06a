/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/manager.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define ROOT    "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"

/* Where PID 1 listens; a message bus greets its clients, a direct connection does not. */
static const struct {
	const char *address;
	int is_bus;
} doors[] = {{"unix:path=/run/systemd/private", 0}, {"unix:path=/run/dbus/system_bus_socket", 1}};

static int failed(struct manager *m, int rc, struct sdbus_error *e, const char *what,
		  struct error *err)
{
	char why[160] = "";

	if (e->message)
		str_safe(why, sizeof(why), e->message, strnlen(e->message, sizeof(why)));
	m->lib.error_free(e);
	return *why ? error_set(err, rc, "systemd %s: %s", what, why)
		    : error_sys(err, rc, "systemd %s", what);
}

static int dial(struct manager *m, const char *address, int is_bus)
{
	int rc = m->lib.new(&m->bus);

	if (rc >= 0)
		rc = m->lib.set_address(m->bus, address);
	if (rc >= 0)
		rc = m->lib.set_bus_client(m->bus, is_bus);
	if (rc >= 0)
		rc = m->lib.set_method_call_timeout(m->bus, MANAGER_CALL_US);
	if (rc >= 0)
		rc = m->lib.start(m->bus);
	if (rc < 0 && m->bus)
		m->bus = m->lib.flush_close_unref(m->bus);
	return rc;
}

int manager_open(struct manager *m, struct error *err)
{
	int rc;

	*m = (struct manager){.bus = NULL};
	rc = sdbus_load(&m->lib, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(doors); i++) {
		rc = dial(m, doors[i].address, doors[i].is_bus);
		if (rc >= 0)
			return 0;
	}
	manager_close(m);
	return error_sys(err, rc, "systemd cannot be asked");
}

void manager_close(struct manager *m)
{
	if (m->bus)
		m->bus = m->lib.flush_close_unref(m->bus);
	sdbus_unload(&m->lib);
}

/* The object that a reply names. */
static int take_path(struct manager *m, struct sd_bus_message *reply, char out[MANAGER_PATH_SIZE],
		     struct error *err)
{
	const char *path = NULL;
	int rc = m->lib.message_read_basic(reply, 'o', &path);

	if (rc < 0 || !path || !str_copy(out, MANAGER_PATH_SIZE, path))
		rc = error_set(err, -EBADMSG, "systemd's answer cannot be read");
	m->lib.message_unref(reply);
	return rc < 0 ? rc : 0;
}

static int read_text(struct manager *m, const char *path, const char *interface, const char *name,
		     char *out, size_t size, struct error *err)
{
	struct sdbus_error e = {NULL, NULL, 0};
	auto_free char *text = NULL;
	int rc = m->lib.get_property_string(m->bus, SYSTEMD, path, interface, name, &e, &text);

	if (rc < 0)
		return failed(m, rc, &e, "does not tell of the unit", err);
	str_safe(out, size, text, strlen(text));
	return 0;
}

int manager_look(struct manager *m, struct manager_unit *u, struct error *err)
{
	struct sdbus_error e = {NULL, NULL, 0};
	int rc = read_text(m, u->path, SYSTEMD ".Unit", "ActiveState", u->state, sizeof(u->state),
			   err);

	if (rc == 0)
		rc = read_text(m, u->path, SYSTEMD ".Service", "Result", u->result,
			       sizeof(u->result), err);
	if (rc < 0)
		return rc;
	rc = m->lib.get_property_trivial(m->bus, SYSTEMD, u->path, SYSTEMD ".Service", "MainPID",
					 &e, 'u', &u->main_pid);
	return rc < 0 ? failed(m, rc, &e, "does not tell of the unit", err) : 0;
}

int manager_unit_of(struct manager *m, pid_t pid, struct manager_unit *ret, struct error *err)
{
	struct sdbus_error e = {NULL, NULL, 0};
	struct sd_bus_message *reply = NULL;
	struct manager_unit u = {.main_pid = 0};
	int rc = m->lib.call_method(m->bus, SYSTEMD, ROOT, MANAGER, "GetUnitByPID", &e, &reply, "u",
				    (uint32_t)pid);

	if (rc < 0)
		return failed(m, rc, &e, "does not know the process", err);
	rc = take_path(m, reply, u.path, err);
	if (rc == 0)
		rc = read_text(m, u.path, SYSTEMD ".Unit", "Id", u.id, sizeof(u.id), err);
	if (rc == 0)
		rc = manager_look(m, &u, err);
	if (rc == 0)
		*ret = u;
	return rc;
}

int manager_restart(struct manager *m, const struct manager_unit *u,
		    char ret_job[MANAGER_PATH_SIZE], struct error *err)
{
	struct sdbus_error e = {NULL, NULL, 0};
	struct sd_bus_message *reply = NULL;
	int rc = m->lib.call_method(m->bus, SYSTEMD, ROOT, MANAGER, "RestartUnit", &e, &reply, "ss",
				    u->id, "fail");

	if (rc < 0)
		return failed(m, rc, &e, "does not restart the unit", err);
	return take_path(m, reply, ret_job, err);
}

bool manager_job_runs(struct manager *m, const char *job)
{
	struct sdbus_error e = {NULL, NULL, 0};
	auto_free char *state = NULL;
	int rc = m->lib.get_property_string(m->bus, SYSTEMD, job, SYSTEMD ".Job", "State", &e,
					    &state);

	/* An object that is gone is a job that is done; no answer in time is no news. */
	if (rc == -ETIMEDOUT)
		rc = 0;
	m->lib.error_free(&e);
	return rc >= 0;
}
