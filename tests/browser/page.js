// SPDX-License-Identifier: Apache-2.0
// Drives the dashboard in a real Chromium and prints one JSON line a check: {name, ok, detail}.
// The file named as argument is JSON: {login, front, host, leak, hostile, kill, axe, chromium, out, profile}.
"use strict";
const fs = require("fs");
const path = require("path");
const modules = process.env.NODE_MODULES;
const { chromium } = require(path.join(modules, "playwright-core"));

const given = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const trouble = [];
const HOSTILE = "<img src=x onerror=alert(1)>";

function say(name, ok, detail) {
	process.stdout.write(JSON.stringify({ name, ok: Boolean(ok), detail: String(detail ?? "") }) + "\n");
}

// A check says nothing on success, throws or returns a complaint otherwise.
async function check(name, run) {
	try {
		const complaint = await run();
		say(name, !complaint, complaint);
	} catch (e) {
		say(name, false, e.message.split("\n").slice(0, 6).join(" | "));
	}
}

function watch(page) {
	page.on("console", (m) => m.type() === "error" && trouble.push(`console: ${m.text()}`));
	page.on("pageerror", (e) => trouble.push(`script: ${e.message}`));
	page.on("dialog", (d) => {
		trouble.push(`a dialog opened: ${d.message()}`);
		d.dismiss();
	});
	return page.addInitScript(() => {
		window.refusals = [];
		addEventListener("securitypolicyviolation", (e) => window.refusals.push(`${e.violatedDirective} ${e.blockedURI}`));
	});
}

const shot = (page, name) => page.screenshot({ path: path.join(given.out, `${name}.png`), fullPage: true });
const rowOf = (page, pid) => page.locator("#processes tbody tr").filter({ has: page.locator("td:first-child", { hasText: new RegExp(`^${pid}$`) }) });

async function overflow(page) {
	const [have, want] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
	return have > want ? `the page is ${have} px wide in a window of ${want}` : "";
}

async function violations(page) {
	await page.evaluate(given.axe);
	const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
	return found.violations.filter((v) => ["serious", "critical"].includes(v.impact))
		.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")}`).join("; ");
}

async function fleet(page) {
	await check("login_link_opens_the_fleet", async () => {
		await page.goto(given.login);
		await page.waitForSelector("body[data-loaded]");
		const at = new URL(page.url());
		return at.pathname !== "/" || at.search ? `it ended at ${page.url()}` : "";
	});
	await check("fleet_row_shows_the_host_connected", async () => {
		const text = await page.locator("#fleet tbody tr").first().innerText();
		return text.includes(given.host) && text.includes("connected") ? "" : text;
	});
	await check("maintenance_is_told_as_text", async () => {
		const text = await page.locator("#maintenance li").first().textContent();
		return /^Maintenance of none-\* on all hosts, until .+ \(token:ops\): <img src=x/.test(text) ? "" : text;
	});
	await check("fleet_row_names_the_culprit", () =>
		page.locator("#fleet tbody tr td", { hasText: `(pid ${given.leak})` }).waitFor({ timeout: 60000 }));
	await shot(page, "fleet-light");
}

async function processes(page) {
	await check("click_on_the_host_lists_its_processes", async () => {
		await page.locator("#fleet tbody tr").first().click();
		await rowOf(page, given.leak).waitFor({ timeout: 15000 });
		return page.url().includes("host=") ? "" : page.url();
	});
	await check("hostile_names_are_shown_as_text", async () => {
		for (const pid of given.hostile)
			await rowOf(page, pid).waitFor({ timeout: 15000 });
		const text = await rowOf(page, given.hostile[0]).innerText();
		const made = await page.locator("img, #processes script").count();
		return made || !text.includes(HOSTILE) ? `${made} elements made of it; row: ${text}` : "";
	});
	await check("the_list_can_be_filtered", async () => {
		await page.fill("#find", "onerror");
		await page.waitForFunction(() => document.querySelectorAll("#processes tbody tr").length === 1);
		await page.fill("#find", "");
		await rowOf(page, given.leak).waitFor();
	});
}

async function process_(page) {
	const drawn = () => page.waitForFunction(() => {
		const canvas = document.querySelector("#chart canvas");
		if (!canvas || !canvas.width) return false;
		const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
		// The RSS line's own colour, so that axes and grid do not count.
		for (let i = 0, n = 0; i < data.length; i += 4)
			if (data[i + 3] > 200 && Math.abs(data[i] - 0x2f) < 24 && Math.abs(data[i + 1] - 0x6f) < 24 && Math.abs(data[i + 2] - 0xb0) < 24 && ++n > 50) return true;
		return false;
	}, null, { timeout: 20000 });

	await check("click_on_the_process_draws_its_series", async () => {
		await rowOf(page, given.leak).click();
		await drawn();
		const text = await page.locator("#chart-text").innerText();
		const points = Number(/(\d+) points/.exec(text)?.[1] ?? 0);
		return points > 2 ? "" : text;
	});
	await check("types_that_grew_are_named", async () => {
		const row = page.locator("#types tbody tr").first();
		await row.waitFor({ timeout: 15000 });
		const cells = await row.locator("td").allInnerTexts();
		const title = await page.locator("#types-title").innerText();
		return cells.join("|") === `${HOSTILE}|+1000|+20 MiB|2000|40 MiB` && title.includes("grew in 29 min") ? "" : `${title}: ${cells.join("|")}`;
	});
	await check("the_verdict_is_what_rest_says", async () => {
		const id = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("process");
		const said = await page.evaluate((path) => fetch(path).then((a) => a.json()), `/api/v1/processes/${id}`);
		const kind = said.verdict ? said.verdict.confidence : "";
		const shown = (await page.locator("#why").textContent()).trim();
		return said.verdict ? (shown.endsWith(`(${kind}).`) ? "" : shown) : shown && `it says '${shown}' of nothing`;
	});
	await check("enter_opens_the_process_too", async () => {
		await page.goBack();
		await page.waitForSelector("#process", { state: "hidden" });
		await rowOf(page, given.leak).locator("a").focus();
		await page.keyboard.press("Enter");
		await drawn();
	});
	await check("focus_outlives_the_refresh", async () => {
		await rowOf(page, given.leak).locator("a").focus();
		const before = await page.evaluate(() => document.activeElement.dataset.key);
		await page.waitForResponse((r) => r.url().includes("/processes?"), { timeout: 15000 });
		await page.waitForTimeout(500);
		const after = await page.evaluate(() => document.activeElement?.dataset?.key);
		return before && before === after ? "" : `${before} became ${after}`;
	});
	await check("a_dry_run_answers", async () => {
		await page.click("#trim-dry");
		await page.waitForFunction(() => /^(done|refused|failed|ineffective|Refused)/.test(document.querySelector("#trim-answer").textContent), null, { timeout: 40000 });
		const text = await page.locator("#trim-answer").innerText();
		return /^done/.test(text) ? "" : text;
	});
	await check("trim_asks_before_it_acts", async () => {
		await page.click("#trim");
		await page.waitForSelector("#confirm[open]");
		await page.keyboard.press("Escape");
		await page.waitForSelector("#confirm", { state: "hidden" });
	});
	await check("alerts_fill", () => page.locator("#alerts tbody tr td", { hasText: "firing" }).first().waitFor({ timeout: 30000 }));
	await check("axe_finds_nothing_serious_in_light", () => violations(page));
	await shot(page, "process-light");
}

const part = (page, title) => page.locator("#dossier-body h3", { hasText: title });

async function kills(page) {
	const row = page.locator("#kills tbody tr").first();
	await check("kills_are_listed_with_victim_limit_and_grower", async () => {
		const text = await row.innerText();
		const lacks = [`${HOSTILE} (pid 4711)`, "shop-1, 512 MiB", "100 MiB", given.kill.verdict].filter((s) => !text.includes(s));
		return lacks.length ? `'${lacks}' is not in: ${text}` : "";
	});
	await check("enter_on_a_kill_opens_its_dossier", async () => {
		await row.locator("a").focus();
		await page.keyboard.press("Enter");
		await page.waitForSelector("#dossier .verdict");
		return page.url().endsWith(`#oom=${given.kill.id}`) ? "" : page.url();
	});
	await check("a_dossier_says_who_whose_limit_and_who_grew", async () => {
		const text = await page.locator("#dossier").innerText();
		const lacks = [given.kill.verdict, `${HOSTILE} (pid 4711) of shop, container c0ffee`, `${HOSTILE} --serve`, "nginx (pid 4713) of shop",
			"shop-1, cgroup /docker/c0ffee · 512 MiB in use of 512 MiB", "900 MiB available of 2 GiB", "a cgroup reached its limit, certain",
			"Raise the limit to 640 MiB", "python3 leak.py", "+200 MiB", `${HOSTILE} (victim)`, "oom-kill:constraint=CONSTRAINT_MEMCG"].filter((s) => !text.includes(s));
		return lacks.length ? `'${lacks.join("', '")}' is not in: ${text}` : "";
	});
	await check("a_dossier_makes_nothing_of_hostile_names", async () => {
		const made = await page.locator("img, #dossier script").count();
		return made ? `${made} elements` : "";
	});
	await check("what_was_done_before_a_kill_is_said", async () => {
		const actions = await part(page, "Actions in the hour before").count();
		return actions === 1 && (await part(page, "Its service in the day before").count()) <= 1 ? "" : `${actions} headings`;
	});
	await check("axe_finds_nothing_serious_in_a_dossier", () => violations(page));
	await shot(page, "dossier-light");
	await check("a_link_to_a_dossier_opens_it", async () => {
		await page.goto("about:blank");
		await page.goto(new URL(`/#oom=${given.kill.id}`, given.login).href);
		await page.waitForSelector("#dossier .verdict");
	});
	await check("a_kill_that_is_not_known_is_said", async () => {
		await page.evaluate(() => (location.hash = "#oom=77"));
		await page.locator("#dossier", { hasText: "not known" }).waitFor();
		trouble.splice(0, trouble.length, ...trouble.filter((t) => !t.includes("404"))); // the browser's own line
		return (await page.locator("#trouble").isVisible()) ? "the page is in trouble" : "";
	});
	await check("close_hides_the_dossier", async () => {
		await page.locator("#dossier a", { hasText: "Close" }).click();
		await page.waitForSelector("#dossier", { state: "hidden" });
	});
}

async function machine(page) {
	await check("a_host_tells_its_pressure_and_the_agents_cost", async () => {
		await page.locator("#fleet tbody tr a").first().click();
		await page.locator("#machine-facts dd", { hasText: "RSS" }).waitFor();
		const text = await page.locator("#machine-facts").innerText();
		return /Pressure\s+(\d+\.\d % of the time|not told)/.test(text) && /MiB RSS/.test(text) ? "" : text;
	});
	await check("counters_become_rates", () =>
		page.locator("#machine-facts dd", { hasText: /kswapd \d+(\.\d)?\/s/ }).waitFor({ timeout: 20000 }));
	await check("the_posture_is_told_worst_first_with_its_fix", async () => {
		await page.locator("#posture li strong").first().waitFor({ timeout: 30000 });
		const signs = await page.locator("#posture li strong").allInnerTexts();
		const order = signs.map((s) => "✗▲•".indexOf(s[0]));
		const sorted = order.every((v, i) => v >= 0 && (i === 0 || order[i - 1] <= v));
		return sorted && (await page.locator("#posture .fix code").count()) ? "" : signs.join(", ");
	});
	await check("cgroups_say_in_words_who_limits", async () => {
		await page.locator("#cgroups tbody tr td:nth-child(7)").first().waitFor();
		const rows = await page.locator("#cgroups tbody tr").allInnerTexts();
		const limits = await page.locator("#cgroups tbody td:nth-child(6)").allInnerTexts();
		return limits.length && limits.every((s) => /^no limit$|iB$/.test(s)) ? "" : rows.join(" | ");
	});
	await shot(page, "host-light");
}

async function looks(page) {
	await check("a_narrow_dossier_does_not_scroll_sideways", async () => {
		await page.setViewportSize({ width: 360, height: 740 });
		await page.evaluate((id) => (location.hash += `&oom=${id}`), given.kill.id);
		await page.waitForSelector("#dossier .verdict");
		await page.waitForTimeout(500);
		await shot(page, "dossier-narrow");
		return overflow(page);
	});
	await check("a_narrow_window_does_not_scroll_sideways", async () => {
		await page.setViewportSize({ width: 360, height: 740 });
		await page.waitForTimeout(500);
		await shot(page, "narrow");
		return overflow(page);
	});
	await check("dark_scheme_is_dark", async () => {
		await page.setViewportSize({ width: 1280, height: 900 });
		await page.emulateMedia({ colorScheme: "dark" });
		await page.waitForTimeout(800);
		await shot(page, "process-dark");
		const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
		return paper.match(/\d+/g).slice(0, 3).every((v) => Number(v) < 64) ? "" : paper;
	});
	await check("axe_finds_nothing_serious_in_dark", () => violations(page));
}

// A collector in front of the one before: its rows are that one's, and no links, because their ids are.
async function front(page) {
	await page.goto(given.front);
	await page.waitForSelector("body[data-loaded]");
	await check("hosts_of_a_cell_are_told_with_it", async () => {
		const row = page.locator("#fleet tbody tr").first();
		const text = await row.innerText();
		return text.startsWith(`there: ${given.host}`) && (await row.locator("a").count()) === 0 ? "" : text;
	});
	await check("the_largest_processes_of_the_cells_are_listed", async () => {
		await page.locator("#largest tbody tr td", { hasText: "there: " }).first().waitFor();
		const rows = await page.locator("#largest tbody tr").count();
		const sizes = await page.locator("#largest tbody tr td:nth-child(5)").allInnerTexts();
		if (rows !== 15 || (await page.locator("#largest tbody a").count())) return `${rows} rows`;
		return /^\d.* [KMG]iB$/.test(sizes[0]) ? "" : sizes.join();
	});
	await check("a_cell_that_does_not_answer_is_in_the_headline", async () => {
		const text = await page.locator("#headline").innerText();
		return text.includes("cell gone does not answer") && !text.includes("cell there") ? "" : text;
	});
	await check("axe_finds_nothing_serious_in_a_front", () => violations(page));
	await check("a_front_does_not_scroll_sideways", async () => {
		await page.setViewportSize({ width: 360, height: 740 });
		return overflow(page);
	});
	await shot(page, "front");
}

async function stranger(browser) {
	await check("without_a_login_the_page_says_how_to_get_one", async () => {
		const page = await (await browser.newContext()).newPage();
		await page.goto(new URL("/", given.login).href);
		await page.waitForSelector("#trouble:not([hidden])");
		const text = await page.locator("#trouble").innerText();
		return text.includes("memherd login-link") ? "" : text;
	});
	await check("a_login_link_is_good_once", async () => {
		const page = await (await browser.newContext()).newPage();
		const answer = await page.goto(given.login);
		return answer.status() === 403 ? "" : `status ${answer.status()}`;
	});
}

async function main() {
	fs.mkdirSync(given.out, { recursive: true });
	const context = await chromium.launchPersistentContext(given.profile, {
		executablePath: given.chromium,
		headless: true,
		viewport: { width: 1280, height: 900 },
		colorScheme: "light",
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync"],
	});
	const page = await context.newPage();
	context.setDefaultTimeout(15000);
	await watch(page);
	await fleet(page);
	await kills(page);
	await machine(page);
	await processes(page);
	await process_(page);
	await looks(page);
	await check("no_console_error_no_dialog", () => trouble.join("; "));
	await check("no_content_security_policy_violation", () => page.evaluate(() => window.refusals.join("; ")));
	await front(page);
	await context.clearCookies();
	await stranger({ newContext: async () => context });
	await context.close();
}

main().catch((e) => {
	say("the_script_ended_well", false, e.stack);
	process.exitCode = 1;
});
