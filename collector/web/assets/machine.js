// SPDX-License-Identifier: Apache-2.0
// One host as a machine: pressure and reclaim, how it is set up, its cgroups and containers, and what
// watching it costs. Counters become rates between two answers.

import { $, ago, ask, bytes, cell, element, facts, fill, growth, percent } from "./base.js";

const SIGNS = { bad: ["✗ bad", "bad"], warn: ["▲ warning", "warn"], info: ["• note", "soft"] };
const ORDER = Object.keys(SIGNS);
const RATE_MS = 60000;
let answers = []; // of one host, of the last minute, oldest first

// By how much counters rose in a second over the last minute; null until two answers are known.
function rates(h) {
	const at = Date.parse(h.last_seen);
	answers = answers.filter((a) => a.host.id === h.id && at - a.at <= RATE_MS);
	const first = answers[0];
	const seconds = first ? (at - first.at) / 1000 : 0;
	answers.push({ host: h, at });
	const rate = {};
	for (const key of ["steal_kswapd", "steal_direct", "alloc_stalls", "swap_in", "swap_out", "agent_cpu_seconds"])
		rate[key] = seconds > 0 && h[key] >= first.host[key] ? (h[key] - first.host[key]) / seconds : null;
	return rate;
}

const perSecond = (n, what) => (n === null ? `${what} –` : `${what} ${n.toFixed(n < 10 && n % 1 ? 1 : 0)}/s`);

function pressure(h) {
	if (!h.pressure) return element("span", "not told: the kernel has no PSI, or it is off", "warn");
	const some = h.pressure.some_ratio;
	const text = `${percent(some)} of the time a task waited for memory, ${percent(h.pressure.full_ratio)} of the time all did`;
	return element("span", text, some > 0.1 ? "bad" : "");
}

function machineFacts(h) {
	const r = rates(h);
	const swap = h.swap_total_bytes ? `${bytes(h.swap_total_bytes - h.swap_free_bytes)} of ${bytes(h.swap_total_bytes)} in use` : "none";
	const cpu = r.agent_cpu_seconds === null ? "" : ` · ${percent(r.agent_cpu_seconds)} of a core`;
	const skipped = h.skipped ? ` · ${h.skipped} processes left out of the last round` : "";
	return facts([
		["Pressure", pressure(h)],
		["Reclaim, pages", [perSecond(r.steal_kswapd, "kswapd"), perSecond(r.steal_direct, "tasks that needed memory"), perSecond(r.alloc_stalls, "stalls")].join(" · ")],
		["Swap", h.swap_total_bytes ? `${swap} · ${perSecond(r.swap_in, "pages in")} · ${perSecond(r.swap_out, "out")}` : swap],
		["OOM kills", h.oom_kills === null ? "not told" : `${h.oom_kills} since the host's start`],
		["The agent itself", `${h.agent_version ?? "unknown version"} · ${bytes(h.agent_rss_bytes)} RSS${cpu}${skipped}`],
		["Kernel", h.kernel],
	]);
}

function finding(f) {
	const [sign, className] = SIGNS[f.severity] ?? SIGNS.info;
	const parts = [element("strong", sign, className), ` ${f.text}`];
	if (f.fix) parts.push(element("span", ["Fix: ", element("code", f.fix)], "fix"));
	return element("li", parts);
}

function posture(h) {
	if (!h.posture) return [element("li", "The agent has not told yet.", "soft")];
	const list = [...h.posture.findings].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
	return list.length ? list.map(finding) : [element("li", "✓ Nothing to complain of.", "good")];
}

function limitText(g) {
	if (g.no_limit) return "no limit";
	return bytes(g.limit_bytes);
}

function groupRow(row, g) {
	cell(row, g.name || g.path, "long").title = g.path;
	cell(row, g.runtime);
	cell(row, bytes(g.working_set_bytes), "num");
	cell(row, bytes(g.anon_bytes), "num");
	cell(row, bytes(g.swap_bytes), "num");
	cell(row, limitText(g), g.no_limit ? "num warn" : "num");
	cell(row, g.no_limit ? "nobody but the host's memory" : g.limited_by === g.path ? "itself" : g.limited_by || "the host's memory", "long");
	cell(row, growth(g.growth_bytes_per_hour), "num");
	cell(row, String(g.oom_kills ?? "–"), g.oom_kills ? "num bad" : "num");
}

export async function showMachine({ id }) {
	const path = `/hosts/${encodeURIComponent(id)}`;
	const [h, groups] = await Promise.all([ask(path), ask(`${path}/cgroups?limit=200`)]);
	$("machine-title").textContent = `${h.name}, seen ${ago(h.last_seen)}`;
	$("machine-facts").replaceChildren(...machineFacts(h));
	$("posture").replaceChildren(...posture(h));
	fill("cgroups", groups.items, groupRow, "No cgroup is watched.");
	$("cgroups-more").hidden = !groups.next_cursor;
}
