// SPDX-License-Identifier: Apache-2.0
// Of a Python process: why it grows, its cycle collector, and which types grew between two censuses.

import { $, ago, ask, bytes, cell, duration, element, facts } from "./base.js";

const TOP = 10;
const signed = (n, text) => `${n > 0 ? "+" : ""}${text}`;

function generationRow(row, g) {
	cell(row, `generation ${g.generation}`);
	if (g.count === null || !g.threshold) cell(row, "–");
	else {
		const meter = element("meter");
		meter.max = g.threshold;
		meter.value = Math.min(g.count, g.threshold);
		meter.title = "until the next collection";
		cell(row, element("span", [meter, ` ${g.count} of ${g.threshold}`]));
	}
	cell(row, String(g.collections ?? "–"), "num");
	cell(row, g.collections_per_minute === null ? "–" : g.collections_per_minute.toFixed(1), "num");
}

function gcFacts(gc) {
	const off = gc.enabled === false;
	return facts([
		["Interpreter", gc.version && `Python ${gc.version}${gc.state === "readable" ? "" : `: ${gc.state_text}`}`],
		["Collection", gc.enabled === null ? "" : element("span", off ? "✗ off: cycles are never freed" : "on", off ? "bad" : "")],
		["Collected", gc.collected === null ? "" : `${gc.collected} objects, ${gc.uncollectable} could not be`],
		["Time in it", gc.time_ratio === null ? "" : `${(gc.time_ratio * 100).toFixed(2)} % of the last minutes`],
	]);
}

async function showCollector(path) {
	const gc = await ask(`${path}/gc`);
	$("gc-facts").replaceChildren(...gcFacts(gc));
	$("gc-lane").replaceChildren(gc.version === null ? "" : makeLane(gc));
	return gc.version !== null;
}

function makeLane(gc) {
	const table = element("table");
	const head = table.createTHead().insertRow();
	for (const [text, className] of [["", ""], ["Count of threshold", ""], ["Collections", "num"], ["a minute", "num"]]) {
		const th = element(text ? "th" : "td", text, className);
		if (text) th.scope = "col";
		head.append(th);
	}
	const body = table.createTBody();
	for (const g of gc.generations) generationRow(body.insertRow(), g);
	return table;
}

function showVerdict(v) {
	$("why").textContent = v ? `${v.sentence[0].toUpperCase()}${v.sentence.slice(1)} (${v.confidence}).` : "";
	$("why").hidden = !v;
	const lines = v ? [...v.evidence.map((e) => element("li", e)), ...v.advice.map((a) => element("li", `→ ${a}`))] : [];
	$("why-lines").replaceChildren(...lines);
	$("why-lines").hidden = !lines.length;
}

function growthRow(row, t) {
	cell(row, t.name, "long");
	cell(row, `${signed(t.count_growth, t.count_growth)}${t.known ? "" : " ?"}`, "num");
	cell(row, signed(t.bytes_growth, bytes(t.bytes_growth)), "num");
	cell(row, String(t.count), "num");
	cell(row, bytes(t.bytes), "num");
}

// Of one census alone nothing has grown.
function typeRow(row, t) {
	growthRow(row, { ...t, count_growth: 0, bytes_growth: 0, known: true });
	row.cells[1].textContent = row.cells[2].textContent = "–";
}

function fillTypes(items, makeRow) {
	$("types").tBodies[0].replaceChildren(...items.slice(0, TOP).map((t) => {
		const row = element("tr");
		makeRow(row, t);
		return row;
	}));
}

// Against the census that the verdict rests on, else the one before.
async function showTypes(path, v) {
	const { items: [newest, before] } = await ask(`${path}/census?limit=2`);
	$("types-box").hidden = !newest;
	if (!newest) return false;
	if (!before) {
		$("types-title").textContent = `Its largest types, counted ${ago(newest.time)}`;
		fillTypes((await ask(`/censuses/${newest.id}`)).types, typeRow);
		return true;
	}
	const base = v?.census_id === newest.id && v.base_census_id ? v.base_census_id : before.id;
	const diff = await ask(`/censuses/${newest.id}/diff?base=${base}&top=${TOP}`);
	$("types-title").textContent = `Types that grew in ${duration(diff.span_seconds)}, counted ${ago(newest.time)}`;
	fillTypes(diff.types, growthRow);
	return true;
}

export async function showPython(p) {
	const path = `/processes/${encodeURIComponent(p.id)}`;
	showVerdict(p.verdict);
	const [gc, types] = await Promise.all([showCollector(path), showTypes(path, p.verdict)]);
	$("python").hidden = !p.verdict && !gc && !types;
	$("census").hidden = !p.verdict;
}
