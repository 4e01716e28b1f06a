/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/killers.h"

#include <signal.h>
#include <stdio.h>

#include "agent/sense/oom/text.h"
#include "common/str.h"
#include "proto/metric.h"

static const char *const names[] = {
#define X(NAME, name, unit) #name,
	KILLER_LIST(X)
#undef X
};

const char *killer_name(enum killer killer)
{
	return names[killer];
}

static int signal_of(struct text t)
{
	static const struct {
		const char *word;
		int number;
	} rows[] = {{"SIGTERM", SIGTERM}, {"SIGKILL", SIGKILL}, {"SIGABRT", SIGABRT},
		    {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT}, {"SIGHUP", SIGHUP}};
	int64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (text_is(t, rows[i].word))
			return rows[i].number;
	return text_number(&t, &n) && !t.len && n > 0 && n < 128 ? (int)n : 0;
}

static void set_reason(struct killer_note *n, struct text t)
{
	str_safe(n->reason, sizeof(n->reason), t.p, t.len);
}

/* A pid in front, which must be one. */
static bool take_pid(struct text *t, int64_t *ret)
{
	int64_t pid;

	if (!text_number(t, &pid) || pid <= 0 || pid > INT32_MAX)
		return false;
	*ret = pid;
	return true;
}

/* ---- earlyoom (kill.c) ---- */

/* From 1.3: 'sending SIGTERM to process 812 uid 1000 "python3": oom_score 900, VmRSS 38 MiB, ..'.
 * The name ends at the last '": ' before the figures, which are badness or oom_score by version. */
static bool earlyoom_sending(struct text t, struct killer_note *n)
{
	static const char *const marks[] = {"\": badness ", "\": oom_score "};
	struct text word;
	struct text figures;
	int64_t uid;
	bool found = false;

	if (!text_skip(&t, "sending "))
		return false;
	word = text_word(&t);
	n->signal = signal_of(word);
	if (!n->signal || !text_skip(&t, " to process ") || !take_pid(&t, &n->pid))
		return false;
	if (text_skip(&t, " uid ") && !text_number(&t, &uid))
		return false;
	if (!text_skip(&t, " \""))
		return false;
	/* The first: a command line behind it may hold the same words, a name of 15 bytes not. */
	for (size_t i = 0; i < ARRAY_SIZE(marks) && !found; i++)
		found = text_cut(t, marks[i], &word, &figures);
	if (!found)
		return false;
	text_copy(n->comm, sizeof(n->comm), word);
	set_reason(n, text_of(word.p + word.len + 3,
			      figures.len + (size_t)(figures.p - word.p) - word.len - 3));
	return true;
}

/* Up to 1.2: "Killing process 'python3' with signal 15, pid: 812, badness: 900, VmRSS: 38 MiB". */
static bool earlyoom_killing(struct text t, struct killer_note *n)
{
	struct text name;
	struct text word;
	struct text rest;

	if (!text_skip(&t, "Killing process ") ||
	    !text_cut_last(t, " with signal ", &name, &rest) ||
	    !text_cut(rest, ", pid: ", &word, &rest))
		return false;
	n->signal = signal_of(word);
	if (!take_pid(&rest, &n->pid))
		return false;
	if (text_skip(&name, "'") && name.len && name.p[name.len - 1] == '\'')
		name.len--;
	text_copy(n->comm, sizeof(n->comm), name);
	(void)text_skip(&rest, ", ");
	set_reason(n, rest);
	return true;
}

static bool earlyoom(struct text t, struct killer_note *n)
{
	n->killer = KILLER_EARLYOOM;
	if (earlyoom_sending(t, n) || earlyoom_killing(t, n)) {
		n->act = KILLER_ACT_SIGNAL;
		return true;
	}
	if (text_skip(&t, "escalating to SIGKILL after ")) {
		n->act = KILLER_ACT_ESCALATE;
		n->signal = SIGKILL;
		return true;
	}
	if (!text_skip(&t, "process "))
		return false;
	/* 1.7 leaves the pid out: 'process exited after 0.1 seconds' */
	if (take_pid(&t, &n->pid) && !text_skip(&t, " "))
		return false;
	if (text_starts(t, "exited after "))
		n->act = KILLER_ACT_EXITED;
	else if (text_starts(t, "did not exit"))
		n->act = KILLER_ACT_SURVIVED;
	else
		return false;
	return true;
}

/* ---- systemd-oomd ---- */

/* 'Killed /a due to memory pressure for /b being 70% > 60% for > 30s with reclaim activity', or
 * '.. due to memory used (..)'. From 258 'Marked /a for killing due to ..'. /a is chosen by others:
 * it ends at the last of these words. */
static bool systemd_oomd(struct text t, struct killer_note *n)
{
	static const char *const dues[] = {" due to memory pressure for ", " due to memory used ("};
	struct text path = t;
	struct text reason;
	bool marked = text_skip(&t, "Marked ");
	bool found = false;

	if ((!marked && !text_skip(&t, "Killed ")) || !text_starts(t, "/"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dues) && !found; i++)
		found = text_cut_last(t, dues[i], &path, NULL);
	if (!found)
		return false;
	reason = text_of(path.p + path.len + strlen(" due to "),
			 t.len - path.len - strlen(" due to "));
	if (marked && !text_cut_last(path, " for killing", &path, NULL))
		return false;
	n->killer = KILLER_SYSTEMD_OOMD;
	n->act = KILLER_ACT_SIGNAL;
	n->signal = SIGKILL;
	text_copy(n->target, sizeof(n->target), path);
	set_reason(n, reason);
	return true;
}

/* ---- oomd of Meta ---- */

/* 'oomd kill: P10 P60 P300 CGROUP BYTES ruleset:[..] detectorgroup:[..] killer:NAME v2'; the path
 * is relative to the root of the tree, or absolute by version. */
static bool oomd(struct text t, struct killer_note *n)
{
	struct text path;
	struct text rest;

	if (!text_skip(&t, "oomd kill: "))
		return false;
	for (int i = 0; i < 3; i++) {
		if (!text_word(&t).len)
			return false;
		text_skip_spaces(&t);
	}
	if (!text_cut(t, " ruleset:[", &path, &rest)) {
		path = text_word(&t);
		rest = t;
	} else if (text_cut_last(path, " ", &path, NULL)) {
		rest = text_of(rest.p - strlen("ruleset:["), rest.len + strlen("ruleset:["));
	}
	/* 'killer:(dry)..' says what it would have done. */
	if (!path.len || text_cut(rest, "killer:(dry)", NULL, NULL))
		return false;
	n->killer = KILLER_OOMD;
	n->act = KILLER_ACT_SIGNAL;
	n->signal = SIGKILL;
	snprintf(n->target, sizeof(n->target), "%s", *path.p == '/' ? "" : "/");
	text_copy(n->target + strlen(n->target), sizeof(n->target) - strlen(n->target), path);
	set_reason(n, rest);
	return true;
}

/* ---- nohang ---- */

/* The victim is named in '  PID: 812, name: python3, badness: 900' or in '[ OK ] Sending ..'; some
 * lines on comes '  Sending SIGTERM to the victim', and later how it went. */
static bool nohang_victim(struct text t, struct killer_state *s)
{
	struct text name;

	text_skip_spaces(&t);
	if (text_skip(&t, "New victim is cached victim ")) {
		if (!take_pid(&t, &s->pid) || !text_skip(&t, " (") || !t.len)
			return false;
		name = text_of(t.p, t.len - 1);
	} else if (!text_skip(&t, "PID: ") || !take_pid(&t, &s->pid) ||
		   (!text_skip(&t, ", name: ") && !text_skip(&t, ", Name: ")) ||
		   !text_cut_last(t, ", badness: ", &name, NULL)) {
		return false;
	}
	text_copy(s->comm, sizeof(s->comm), name);
	return true;
}

static bool nohang(struct killer_state *s, struct text t, struct killer_note *n)
{
	struct text word;

	if (nohang_victim(t, s))
		return false;
	text_skip_spaces(&t);
	if (text_starts(t, "MemAvailable [") || text_starts(t, "PSI avg value (")) {
		str_safe(s->reason, sizeof(s->reason), t.p, t.len);
		return false;
	}
	if (!s->pid)
		return false;
	if (text_skip(&t, "Sending ")) {
		word = text_word(&t);
		n->signal = signal_of(word);
		if (!n->signal || !text_is(t, " to the victim"))
			return false;
		n->act = KILLER_ACT_SIGNAL;
	} else if (text_starts(t, "The victim died in ") ||
		   text_starts(t, "The victim became a zombie in ")) {
		n->act = KILLER_ACT_EXITED;
	} else if (text_starts(t, "The victim doesn't respond on corrective action in ")) {
		n->act = KILLER_ACT_SURVIVED;
	} else {
		return false;
	}
	n->killer = KILLER_NOHANG;
	n->pid = s->pid;
	memcpy(n->comm, s->comm, sizeof(n->comm));
	memcpy(n->reason, s->reason, sizeof(n->reason));
	return true;
}

/* ---- gunicorn ---- */

/* '[..] [16] [CRITICAL] WORKER TIMEOUT (pid:17)'. What it says of memory afterwards is a guess. */
static bool gunicorn(struct text t, struct killer_note *n)
{
	if (!text_cut(t, "WORKER TIMEOUT (pid:", NULL, &t) || !take_pid(&t, &n->pid) ||
	    !text_starts(t, ")"))
		return false;
	n->killer = KILLER_GUNICORN;
	n->act = KILLER_ACT_TIMEOUT;
	return true;
}

bool killer_parse(struct killer_state *state, const char *line, size_t len, struct killer_note *ret)
{
	struct killer_note n = {.pid = 0};
	struct text t = text_of(line, len);

	while (t.len && (t.p[t.len - 1] == '\n' || t.p[t.len - 1] == '\r'))
		t.len--;
	/* A parser that gives up may have written: each begins anew. */
	if (earlyoom(t, &n)) {
		*ret = n;
		return true;
	}
	n = (struct killer_note){.pid = 0};
	if (systemd_oomd(t, &n) || oomd(t, &n) || (state && nohang(state, t, &n))) {
		*ret = n;
		return true;
	}
	n = (struct killer_note){.pid = 0};
	if (!gunicorn(t, &n))
		return false;
	*ret = n;
	return true;
}

bool killer_from_pid1(const char *message_id, const char *unit, const char *n_processes,
		      struct killer_note *ret)
{
	struct killer_note n = {.act = KILLER_ACT_UNIT};

	if (strcmp(message_id, KILLER_MESSAGE_UNIT_OOM) == 0)
		n.killer = KILLER_PID1_OOM;
	else if (strcmp(message_id, KILLER_MESSAGE_UNIT_OOMD) == 0)
		n.killer = KILLER_PID1_OOMD;
	else if (strcmp(message_id, KILLER_MESSAGE_STOPPING) == 0)
		n = (struct killer_note){.killer = KILLER_PID1_STOP, .act = KILLER_ACT_STOP};
	else if (strcmp(message_id, KILLER_MESSAGE_STOPPED) == 0)
		n = (struct killer_note){.killer = KILLER_PID1_STOP, .act = KILLER_ACT_STOPPED};
	else
		return false;
	(void)str_copy(n.target, sizeof(n.target), unit);
	if (n_processes && (str_parse_int(n_processes, &n.count) < 0 || n.count < 0))
		n.count = 0;
	*ret = n;
	return true;
}

/* ---- whose ---- */

bool killer_path_holds(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	while (n > 1 && outer[n - 1] == '/')
		n--;
	return strncmp(outer, inner, n) == 0 && (n == 1 || !inner[n] || inner[n] == '/');
}

/* 'shop.service' is a component of '/system.slice/shop.service/x'. */
bool killer_path_names(const char *path, const char *unit)
{
	size_t n = strlen(unit);

	for (const char *at = path; n && (at = strstr(at, unit)); at++)
		if (at > path && at[-1] == '/' && (!at[n] || at[n] == '/'))
			return true;
	return false;
}

bool killer_matches(const struct killer_note *note, int64_t pid, const char *cgroup)
{
	if (note->pid)
		return note->pid == pid;
	if (!*note->target || !cgroup || *cgroup != '/')
		return false;
	return *note->target == '/' ? killer_path_holds(note->target, cgroup)
				    : killer_path_names(cgroup, note->target);
}
