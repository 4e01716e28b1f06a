// SPDX-License-Identifier: Apache-2.0
// OOM kills: a row of the list, and one kill's dossier. A dossier does not change: it is asked for and
// built once, when the fragment names another kill.

import { $, ago, ask, bytes, cell, clock, element, facts, fragment, makeTable, pickableHere, placed } from "./base.js";

const shown = { id: null };

// 'python3 (pid 42) of shop'
function who(p) {
	if (!p) return null;
	const name = p.comm || "a process";
	const place = p.service && p.service !== p.comm ? ` of ${p.service}` : "";
	return `${name}${p.pid ? ` (pid ${p.pid})` : ""}${place}${p.container ? `, container ${p.container}` : ""}`;
}

function limit(k) {
	if (!k.limit_cgroup) return "the host's memory";
	return `${k.limit_owner || k.limit_cgroup}${k.limit_bytes === null ? "" : `, ${bytes(k.limit_bytes)}`}`;
}

const grown = (n) => (n === undefined ? "–" : `${n > 0 ? "+" : ""}${bytes(n)}`);

export function killRow(row, k, selected) {
	pickableHere(row, k, `oom ${k.id}`, clock(k.time), k.id === selected, { oom: k.id });
	cell(row, ago(k.time));
	cell(row, placed(k, k.host));
	cell(row, `${k.comm ?? "?"}${k.pid ? ` (pid ${k.pid})` : ""}`);
	cell(row, bytes(k.rss_bytes), "num");
	cell(row, k.service || k.container);
	cell(row, limit(k));
	cell(row, k.grower);
	cell(row, k.verdict, "long").title = k.verdict;
}

// 'used of all'; nothing when neither is known.
function share(used, all, word) {
	if (used === undefined && all === undefined) return null;
	return `${bytes(used)} ${word}${all === undefined ? "" : ` of ${bytes(all)}`}`;
}

function limitFact(k, f) {
	if (!k.limit_cgroup) return "none: the host itself had no memory left";
	const parts = [
		k.limit_owner ? `${k.limit_owner}, cgroup ${k.limit_cgroup}` : `cgroup ${k.limit_cgroup}`,
		share(f.usage_bytes, f.limit_bytes, "in use"),
		share(f.swap_usage_bytes, f.swap_limit_bytes, "of swap in use"),
	];
	return parts.filter(Boolean).join(" · ");
}

function head(k) {
	const d = k.dossier;
	const f = d.figures ?? {};
	const notes = [
		k.complete ? null : "the kernel's report was not seen whole",
		k.replayed ? "found in the log after the fact: growth of that moment is not known" : null,
	];
	return facts([
		["When", `${clock(k.time)}, ${ago(k.time)}`],
		["Victim", who(d.victim)],
		["Its command", d.victim?.cmdline],
		["Why it grew", d.victim?.python?.verdict?.sentence],
		["Trigger", who(d.trigger) ?? "not known"],
		["Whose limit", limitFact(k, f)],
		["Host", [share(f.host_available_bytes, f.host_total_bytes, "available"), share(f.host_swap_free_bytes, f.host_swap_total_bytes, "of swap free")].filter(Boolean).join(" · ")],
		["Cause", `${d.cause_text ?? k.cause}, ${k.confidence}`],
		["Note", notes.filter(Boolean).join("; ")],
	]);
}

function growers(d) {
	return makeTable("Who had grown", [">PID", "Service", "Command", ">RSS", ">1 min", ">10 min", ">60 min"], d.growers, (row, p) => {
		cell(row, String(p.pid ?? "–"), "num");
		cell(row, p.service);
		cell(row, p.cmdline || p.comm, "long").title = p.cmdline || p.comm || "";
		cell(row, bytes(p.rss_bytes), "num");
		for (const span of ["grown_1m_bytes", "grown_10m_bytes", "grown_60m_bytes"])
			cell(row, grown(p[span]), p[span] > 0 ? "num warn" : "num");
	});
}

function tasks(d) {
	return makeTable("The kernel's table of tasks", [">PID", "Name", "Service", ">RSS", ">Anon", ">Swap", ">OOM score adj"], d.tasks, (row, p) => {
		const victim = p.pid === d.victim?.pid;
		cell(row, String(p.pid ?? "–"), "num");
		cell(row, victim ? `${p.comm} (victim)` : p.comm, victim ? "bad" : "");
		cell(row, p.service);
		cell(row, bytes(p.rss_bytes), "num");
		cell(row, bytes(p.anon_bytes), "num");
		cell(row, bytes(p.swap_bytes), "num");
		cell(row, String(p.oom_score_adj ?? "–"), "num");
	});
}

function actions(list) {
	return makeTable("Actions before it", ["When", "Action", "State", ">PID", "Service", "By", "Why"], list, (row, a) => {
		cell(row, clock(a.time));
		cell(row, a.dry_run ? `${a.type} (dry run)` : a.type);
		cell(row, a.state);
		cell(row, String(a.pid ?? "–"), "num");
		cell(row, a.service);
		cell(row, a.actor);
		cell(row, a.reason, "long");
	});
}

function lives(list) {
	return makeTable("Starts and ends of the service", ["When", "What", ">PID", "Name", "Verdict"], list, (row, e) => {
		cell(row, clock(e.time));
		cell(row, e.kind);
		cell(row, String(e.pid ?? "–"), "num");
		cell(row, e.comm);
		cell(row, e.verdict, "long");
	});
}

function lines(list, className) {
	return element("ul", list.map((text) => element("li", text)), className);
}

// A heading and what stands under it; what there is nothing of is said in a word, or left out.
function part(title, list, build, none) {
	if (!list?.length && !none) return [];
	return [element("h3", title), list?.length ? build(list) : element("p", none, "soft")];
}

function build(k) {
	const d = k.dossier;
	const r = k.recent ?? {};
	const s = r.service ?? {};
	const total = d.tasks_total > (d.tasks?.length ?? 0) ? `, ${d.tasks.length} of ${d.tasks_total}` : "";
	return [
		element("p", k.verdict, "verdict"),
		element("dl", head(k)),
		...part("What would have prevented it", d.advice, (list) => lines(list), "No advice for this one."),
		...part("Who had grown before it", d.growers, () => growers(d), k.replayed ? "Not known: it was found after the fact." : "Nobody had grown."),
		...part(`The kernel's table of tasks${total}`, d.tasks, () => tasks(d), "The kernel wrote none."),
		...part("Actions in the hour before", r.actions, actions, "None."),
		...part(`Its service in the day before: ${s.starts ?? 0} starts, ${s.exits ?? 0} ends, ${s.kills ?? 0} kills`, s.events, lives),
		...part("Alerts that were open", r.alerts, (list) => lines(list.map((a) => `INC-${a.id} ${a.title}`))),
		...part("Evidence", d.evidence, (list) => lines(list, "evidence")),
	];
}

export async function showDossier(id) {
	$("dossier").hidden = !id;
	if (!id) shown.id = null;
	if (!id || id === shown.id) return;
	$("dossier-title").textContent = "OOM kill";
	$("dossier-body").replaceChildren(element("p", "Loading…"));
	let k;
	try {
		k = await ask(`/oom-events/${encodeURIComponent(id)}`);
	} catch (e) {
		if (e.status !== 404 && e.status !== 400) throw e;
		$("dossier-body").replaceChildren(element("p", "This kill is not known, or no longer: it is kept as long as events."));
		shown.id = id;
		return;
	}
	$("dossier-title").textContent = `OOM kill of ${k.comm ?? "a process"}${k.pid ? ` (pid ${k.pid})` : ""} on ${k.host}`;
	$("dossier-body").replaceChildren(...build(k));
	$("dossier-host").href = fragment({ host: k.host_id });
	$("dossier-host").textContent = `Look at ${k.host}`;
	shown.id = id;
	$("dossier").scrollIntoView({ block: "start" });
}
