// SPDX-License-Identifier: Apache-2.0
// The page: the fleet, its alerts and actions, a host's processes, and the loop that asks. What is looked
// at is kept in the URL's fragment: #host=ID&process=ID, #oom=ID.
/* global uPlot */

import { $, ago, ask, bytes, cell, clock, duration, element, fill, fragment, growth, pickable, pickableHere, placed } from "./base.js";
import { showMachine } from "./machine.js";
import { killRow, showDossier } from "./oom.js";
import { showPython } from "./python.js";

const REFRESH_MS = 5000;
const state = { host: null, process: null, oom: null, target: null, plot: null };

function trouble(error) {
	const box = $("trouble");
	box.hidden = !error;
	if (!error) return;
	box.textContent = error.status === 401
		? "You are not logged in. On the collector run 'memherd login-link' and open what it prints."
		: `The collector does not answer as it should: ${error.message}`;
}

function spark(points) {
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	svg.setAttribute("class", "spark");
	svg.setAttribute("width", "120");
	svg.setAttribute("height", "24");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", points.length ? `from ${bytes(points[0][1])} to ${bytes(points.at(-1)[1])}` : "no data yet");
	if (points.length > 1) {
		const [t0, t1] = [points[0][0], points.at(-1)[0]];
		const high = Math.max(...points.map((p) => p[1]));
		const low = Math.min(...points.map((p) => p[1]));
		const d = points.map(([t, v]) => {
			const x = t1 > t0 ? (118 * (t - t0)) / (t1 - t0) + 1 : 1;
			const y = high > low ? 22 - (20 * (v - low)) / (high - low) : 12;
			return `${x.toFixed(1)} ${y.toFixed(1)}`;
		});
		const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
		path.setAttribute("d", `M${d.join("L")}`);
		svg.append(path);
	}
	return svg;
}

function usedMeter(h) {
	const box = document.createElement("span");
	if (!h.total_bytes) {
		box.textContent = "–";
		return box;
	}
	const used = h.total_bytes - h.available_bytes;
	const meter = document.createElement("meter");
	meter.max = h.total_bytes;
	meter.high = h.total_bytes * 0.85;
	meter.value = used;
	meter.setAttribute("aria-label", "memory in use");
	box.append(meter, ` ${bytes(used)} of ${bytes(h.total_bytes)}`);
	return box;
}

function hostRow(row, h) {
	pickableHere(row, h, `host ${h.id}`, placed(h, h.name), h.id === state.host, { host: h.id });
	cell(row, h.connected ? "✓ connected" : "✗ silent", h.connected ? "good" : "bad");
	cell(row, usedMeter(h));
	cell(row, spark(h.spark ?? []));
	const c = h.culprit;
	cell(row, c ? `${c.service || c.comm} (pid ${c.pid})` : "none grows", c ? "warn" : "");
	cell(row, c ? growth(c.growth_bytes_per_hour) : "–", "num");
	const soon = h.time_to_oom_seconds !== null && h.time_to_oom_seconds < 7200;
	cell(row, duration(h.time_to_oom_seconds), soon ? "num bad" : "num");
	cell(row, String(h.processes ?? "–"), "num");
}

function processRow(row, p) {
	pickable(row, `process ${p.id}`, String(p.pid), p.id === state.process, { host: state.host, process: p.id }, "num");
	cell(row, p.service || "–");
	cell(row, p.cmdline || p.comm, "long").title = p.cmdline || p.comm;
	cell(row, bytes(p.rss_bytes), "num");
	cell(row, bytes(p.anon_bytes), "num");
	cell(row, bytes(p.swap_bytes), "num");
	cell(row, String(p.threads ?? "–"), "num");
	cell(row, growth(p.growth_bytes_per_hour), p.growth_bytes_per_hour > 50 << 20 ? "num warn" : "num");
}

function topRow(row, p) {
	pickableHere(row, p, `top ${p.host_id} ${p.id}`, placed(p, p.host), p.id === state.process, { host: p.host_id, process: p.id });
	cell(row, String(p.pid), "num");
	cell(row, p.service || "–");
	cell(row, p.cmdline || p.comm, "long").title = p.cmdline || p.comm;
	cell(row, bytes(p.rss_bytes), "num");
	cell(row, growth(p.growth_bytes_per_hour), p.growth_bytes_per_hour > 50 << 20 ? "num warn" : "num");
}

function alertRow(row, a) {
	cell(row, `INC-${a.id}`, "num");
	cell(row, a.state === "firing" ? "▲ firing" : "✓ resolved", a.state === "firing" ? "bad" : "good");
	cell(row, a.level);
	cell(row, placed(a, a.host));
	const kill = a.cell ? null : a.evidence?.kills?.at(-1)?.kill_id;
	let what = a.title;
	if (kill) {
		what = element("a", a.title);
		what.href = fragment({ oom: kill });
		what.dataset.key = `alert ${a.id}`;
	}
	cell(row, what, "long").title = a.title;
	cell(row, ago(a.opened));
}

function actionRow(row, a) {
	cell(row, a.dry_run ? `${a.type} (dry run)` : a.type);
	cell(row, a.verdict && a.verdict !== a.state ? `${a.state}, ${a.verdict}` : a.state, { done: "good", failed: "bad", refused: "bad", ineffective: "warn" }[a.state]);
	cell(row, a.host);
	cell(row, String(a.pid), "num");
	cell(row, a.actor);
	cell(row, bytes(a.rss_before_bytes), "num");
	cell(row, bytes(a.rss_after_bytes), "num");
	cell(row, a.detail, "long").title = a.detail ?? "";
	cell(row, ago(a.created));
}

// ---- the chart ----

// Metric, label, and the line's colour in the light and in the dark scheme.
const SERIES = [
	["rss", "RSS", "#2f6fb0", "#6ea8e0"],
	["anon", "anonymous", "#c2571a", "#f0a060"],
	["swap", "swap", "#7a3fa0", "#c79ae6"],
];
const dark = matchMedia("(prefers-color-scheme: dark)");

function clearPlot() {
	state.plot?.destroy();
	state.plot = null;
}

function newPlot(data) {
	const axis = {
		stroke: getComputedStyle(document.body).color,
		grid: { stroke: "#8883", width: 1 },
		ticks: { stroke: "#8886", width: 1 },
		font: "12px system-ui, sans-serif",
	};
	const line = ([, label, light, night]) =>
		({ label, stroke: dark.matches ? night : light, width: 2, spanGaps: true, points: { show: false }, value: (_, v) => bytes(v) });
	return new uPlot({
		width: plotWidth(),
		height: 300,
		series: [{ label: "time", value: (_, t) => (t ? new Date(t * 1000).toLocaleString() : "–") }, ...SERIES.map(line)],
		axes: [{ ...axis, values: (_, ts) => ts.map((t) => moment(t, ts)) }, { ...axis, size: 72, incrs: POWERS, values: (_, vs) => vs.map(bytes) }],
		scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.05] } },
	}, data, $("chart"));
}

// Steps of the axis that are round in bytes: 64 MiB, not 50,000,000.
const POWERS = Array.from({ length: 50 }, (_, i) => 2 ** i);

// A time as the axis says it: no finer than its steps, with the day when they are days.
function moment(t, all) {
	const step = all.length > 1 ? all[1] - all[0] : 60;
	const at = new Date(t * 1000);
	if (step >= 43200) return at.toLocaleDateString([], { month: "short", day: "numeric" });
	return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: step < 60 ? "2-digit" : undefined, hourCycle: "h23" });
}

const plotWidth = () => Math.max(240, $("chart").clientWidth);

// Three series of [time, value] on one axis of times.
function join(all) {
	const times = [...new Set(all.flatMap((points) => points.map((p) => p[0])))].sort((a, b) => a - b);
	return [times, ...all.map((points) => {
		const at = new Map(points);
		return times.map((t) => at.get(t) ?? null);
	})];
}

async function draw() {
	const from = encodeURIComponent($("range").value);
	const answers = await Promise.all(SERIES.map(([metric]) =>
		ask(`/processes/${encodeURIComponent(state.process)}/series?metric=${metric}&from=${from}&max_points=1000`)));
	const all = answers.map((a) => a.points.map(([t, v]) => [typeof t === "string" ? Date.parse(t) / 1000 : t, v]));
	const data = join(all);
	const rss = all[0];
	$("chart-text").textContent = rss.length
		? `RSS went from ${bytes(rss[0][1])} to ${bytes(rss.at(-1)[1])} in ${duration(rss.at(-1)[0] - rss[0][0])}; ${rss.length} points.`
		: "No samples in this time.";
	if (state.plot) state.plot.setData(data);
	else {
		state.plot = newPlot(data);
		$("process").scrollIntoView({ block: "nearest" });
	}
}

// ---- actions ----

const questions = {
	trim: (t) => `Call malloc_trim in the running process ${t}? It is held for about a millisecond; what the host's policy forbids is refused.`,
	restart: (t) => `End ${t} and have it started again, with its whole systemd unit or container? What the host's policy forbids is refused.`,
	census: (t) => `Count the objects of the running process ${t}? It is held for some milliseconds while a snapshot is taken; what the host's policy forbids is refused.`,
};

async function act(type, dryRun) {
	const target = state.target;
	if (!target) return;
	if (!dryRun) {
		$("confirm-text").textContent = questions[type](target);
		$("confirm").showModal();
		const said = await new Promise((done) => $("confirm").addEventListener("close", () => done($("confirm").returnValue), { once: true }));
		if (said !== "yes") return;
	}
	const said = $("trim-answer");
	try {
		let a = await ask("/actions", {
			method: "POST",
			headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") },
			body: JSON.stringify({ type, target, dry_run: dryRun, reason: "asked on the dashboard" }),
		});
		said.textContent = "Asked; waiting for the host…";
		for (let i = 0; i < 150 && ["queued", "sent", "running"].includes(a.state); i++) {
			await new Promise((done) => setTimeout(done, 500));
			a = await ask(`/actions/${a.id}`);
		}
		said.textContent = a.state === "waiting_approval"
			? `It waits for somebody else's approval: memherd approve ${a.id}`
			: `${a.state}: ${a.detail || "no answer yet"}`;
	} catch (e) {
		said.textContent = `Refused: ${e.message}`;
	}
	refresh();
}

// ---- the loop ----

function headline(hosts, cells, alerts) {
	const firing = alerts.filter((a) => a.state === "firing").length;
	const soon = hosts.filter((h) => h.time_to_oom_seconds !== null && h.time_to_oom_seconds < 86400).length;
	const silent = hosts.filter((h) => !h.connected).length;
	const parts = [`${hosts.length} host${hosts.length === 1 ? "" : "s"}`];
	if (soon) parts.push(`${soon} will run out of memory within 24 h`);
	if (silent) parts.push(`${silent} silent`);
	for (const c of cells.filter((x) => !x.ok)) parts.push(`cell ${c.name} does not answer`);
	parts.push(firing ? `${firing} alert${firing === 1 ? "" : "s"} firing` : "no alert fires");
	$("headline").textContent = parts.join(" · ");
	document.title = firing ? `(${firing}) memherd` : "memherd";
}

async function showHost(hosts) {
	const h = hosts.find((x) => !x.cell && x.id === state.host);
	$("host").hidden = $("machine").hidden = !h;
	if (!h) return;
	await showMachine(h);
	$("host-title").textContent = `Processes of ${h.name}`;
	const find = $("find").value.trim();
	const query = `limit=200&sort=${$("sort").value}${find ? `&q=${encodeURIComponent(find)}` : ""}`;
	const { items, next_cursor: more } = await ask(`/hosts/${encodeURIComponent(state.host)}/processes?${query}`);
	fill("processes", items, processRow, find ? "No process matches." : "No process is known yet.");
	$("processes-more").hidden = !more;
}

// Of one host alone it is what its own list says.
async function showTop(hosts, cells) {
	const some = hosts.length > 1 || cells.length > 0;
	$("top").hidden = !some;
	if (!some) return;
	fill("largest", (await ask(`/processes?limit=15&sort=${$("top-sort").value}`)).items, topRow, "No process is known yet.");
}

async function showProcess() {
	$("process").hidden = !state.process;
	if (!state.process) return;
	const p = await ask(`/processes/${encodeURIComponent(state.process)}`);
	state.target = `${p.host}:${p.pid}`;
	$("process-title").textContent = `${p.service || p.comm} (pid ${p.pid}) on ${p.host}`;
	for (const id of ["trim", "trim-dry", "restart", "restart-dry", "census"]) $(id).disabled = !p.alive;
	$("process-line").textContent = `${p.alive ? "" : "ended · "}${p.cmdline || p.comm} · RSS ${bytes(p.rss_bytes)} · growth ${growth(p.growth_bytes_per_hour)} · seen since ${ago(p.first_seen)}`;
	await draw();
	await showPython(p);
}

// What is under way or to come: nothing but dry runs is done there.
function showMaintenance(items) {
	$("maintenance").hidden = !items.length;
	$("maintenance").replaceChildren(...items.map((m) => element("li", `Maintenance of ${m.service ? `${m.service} on ` : ""}${m.host === "*" ? "all hosts" : m.host}, ${m.state === "holds" ? "" : `from ${clock(m.from)} `}until ${clock(m.until)} (${m.created_by}): ${m.reason}`)));
}

async function refreshOnce() {
	try {
		const { items: hosts, cells = [] } = await ask("/hosts?include=spark&limit=1000");
		fill("fleet", hosts, hostRow, "No host has enrolled yet: run 'memherd enroll-token create', then 'memherd-agent enroll' on the host.");
		if (!state.host && hosts.length === 1 && !hosts[0].cell) state.host = hosts[0].id;
		await showTop(hosts, cells);
		fill("kills", (await ask("/oom-events?limit=20")).items, (row, k) => killRow(row, k, state.oom), "Nobody was killed for memory.");
		await showDossier(state.oom);
		await showHost(hosts);
		await showProcess();
		showMaintenance((await ask("/maintenance?state=open&limit=20")).items);
		const alerts = (await ask("/alerts?limit=50")).items;
		fill("alerts", alerts, alertRow, "No alert yet.");
		fill("actions", (await ask("/actions?limit=20")).items, actionRow, "Nothing was done yet.");
		headline(hosts, cells, alerts);
		trouble(null);
	} catch (e) {
		trouble(e);
	}
	document.body.dataset.loaded = "yes";
}

// One at a time: two that overlap would draw two plots.
let refreshing = false;
let again = false;

async function refresh() {
	again = true;
	if (refreshing) return;
	refreshing = true;
	while (again) {
		again = false;
		await refreshOnce();
	}
	refreshing = false;
}

function readFragment() {
	const f = new URLSearchParams(location.hash.slice(1));
	if (f.get("process") !== state.process) {
		clearPlot();
		state.target = null;
		$("trim-answer").textContent = "";
	}
	state.host = f.get("host");
	state.process = f.get("process");
	state.oom = f.get("oom");
	refresh();
}

addEventListener("hashchange", readFragment);
addEventListener("resize", () => state.plot?.setSize({ width: plotWidth(), height: 300 }));
dark.addEventListener("change", () => {
	clearPlot();
	refresh();
});
for (const id of ["range", "sort", "top-sort"]) $(id).addEventListener("change", refresh);
$("find").addEventListener("input", refresh);
for (const type of ["trim", "restart"]) {
	$(`${type}-dry`).addEventListener("click", () => act(type, true));
	$(type).addEventListener("click", () => act(type, false));
}
$("census").addEventListener("click", () => act("census", false));
setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
readFragment();
