// SPDX-License-Identifier: Apache-2.0
// What all parts of the page use: words for figures, REST, rows of tables. Text nodes only: what a
// process is called never becomes markup.

export const $ = (id) => document.getElementById(id);

// ---- words ----

export function bytes(n) {
	if (n === null || n === undefined) return "–";
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;
	let v = n;
	while (Math.abs(v) >= 1024 && i + 1 < units.length) {
		v /= 1024;
		i++;
	}
	return `${Math.abs(v) < 9.95 && v % 1 ? v.toFixed(1) : v.toFixed(0)} ${units[i]}`;
}

export function growth(n) {
	return n === null || n === undefined ? "–" : `${n > 0 ? "+" : ""}${bytes(n)}/h`;
}

export function duration(s) {
	if (s === null || s === undefined) return "–";
	if (s < 120) return `${s.toFixed(0)} s`;
	if (s < 7200) return `${(s / 60).toFixed(0)} min`;
	if (s < 172800) return `${(s / 3600).toFixed(1)} h`;
	return `${(s / 86400).toFixed(0)} d`;
}

export function ago(time) {
	return time ? `${duration(Math.max(0, (Date.now() - Date.parse(time)) / 1000))} ago` : "–";
}

// A time as people where the browser is read it.
export function clock(time) {
	return time ? new Date(time).toLocaleString([], { hourCycle: "h23" }) : "–";
}

export const percent = (ratio) => (ratio === null || ratio === undefined ? "–" : `${(ratio * 100).toFixed(1)} %`);

// ---- REST ----

class Refused extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

export async function ask(path, options = {}) {
	const headers = { Accept: "application/json", "X-Memherd-Request": "1", ...options.headers };
	const answer = await fetch(`/api/v1${path}`, { credentials: "same-origin", ...options, headers });
	const body = await answer.json().catch(() => null);
	if (!answer.ok) throw new Refused(answer.status, body?.detail || body?.title || `HTTP ${answer.status}`);
	return body;
}

// ---- what is looked at lives in the URL's fragment ----

export function fragment({ host, process, oom }) {
	const f = new URLSearchParams();
	if (host) f.set("host", host);
	if (process) f.set("process", process);
	if (oom) f.set("oom", oom);
	return `#${f}`;
}

// ---- tables ----

export function cell(row, content, className) {
	const td = row.insertCell();
	if (content instanceof Node) td.append(content);
	else td.textContent = content ?? "–";
	if (className) td.className = className;
	return td;
}

// Rows are made anew; the link that has the focus gets it back by its key.
export function fill(table, items, makeRow, emptyText) {
	const body = $(table).tBodies[0];
	const focused = document.activeElement?.dataset?.key;
	const rows = items.map((item) => {
		const row = document.createElement("tr");
		makeRow(row, item);
		return row;
	});
	if (!rows.length) {
		const row = document.createElement("tr");
		const td = cell(row, emptyText, "empty");
		td.colSpan = $(table).tHead.rows[0].cells.length;
		rows.push(row);
	}
	body.replaceChildren(...rows);
	if (focused) body.querySelector(`a[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// The first cell is a link, which is what a keyboard and a screen reader use; a mouse may hit the row.
export function pickable(row, key, text, selected, place, className) {
	const link = document.createElement("a");
	link.href = fragment(place);
	link.dataset.key = key;
	link.textContent = text;
	if (selected) link.setAttribute("aria-current", "true");
	row.classList.add("pick");
	row.classList.toggle("selected", selected);
	row.addEventListener("click", () => getSelection().isCollapsed && (location.hash = link.hash));
	cell(row, link, className);
}

// What has ids of a cell is shown, and looked at there: its number may be another thing's here.
export const placed = (x, name) => (x.cell ? `${x.cell}: ${name}` : name);

export function pickableHere(row, x, key, text, selected, place, className) {
	if (x.cell) cell(row, text, className);
	else pickable(row, key, text, selected, place, className);
}

// ---- elements ----

export function element(tag, content, className) {
	const e = document.createElement(tag);
	if (Array.isArray(content)) e.append(...content);
	else if (content !== undefined) e.append(content);
	if (className) e.className = className;
	return e;
}

// A table that scrolls by itself when it is wider than the page; headings that begin with '>' are of numbers.
export function makeTable(label, headings, items, makeRow) {
	const head = element("tr", headings.map((h) => {
		const th = element("th", h.replace(/^>/, ""), h.startsWith(">") ? "num" : "");
		th.scope = "col";
		return th;
	}));
	const rows = items.map((item) => {
		const row = element("tr");
		makeRow(row, item);
		return row;
	});
	const box = element("div", element("table", [element("thead", head), element("tbody", rows)]), "scroll");
	box.tabIndex = 0;
	box.setAttribute("role", "region");
	box.setAttribute("aria-label", label);
	return box;
}

// [name, value] pairs; a value may be text or a node. Pairs without a value are left out.
export function facts(pairs) {
	return pairs.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
}
