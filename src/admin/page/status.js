// The status page: asks once a second what the sidecar counts, keeps five minutes of it, draws.
"use strict";

const PERIOD_MS = 1000;
const SESSIONS_PERIOD_MS = 3000;
const ROUTES_PERIOD_MS = 10000;
const PATIENCE_MS = 4000;
const WINDOW_SECONDS = 300;
const FIRST_WINDOW_SECONDS = 60;
// Percentiles of fewer seconds would jump about.
const LATENCY_SECONDS = 5;
const SESSIONS_SHOWN = 100;
const MOST_SERIES = 6;

const byId = (id) => document.getElementById(id);

/** An element; attributes that are undefined are left out. */
function el(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text"].includes(name);
  const made = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

// ── numbers ─────────────────────────────────────────────────────────────────────────────────

function short(number) {
  if (number === null || number === undefined) return "–";
  const digits = number === 0 || number >= 100 ? 0 : number >= 10 ? 1 : number >= 1 ? 2 : 3;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
}

function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([length]) => seconds >= length);
  if (at < 0) return "0 s";
  const [length, unit] = units[at];
  const whole = `${Math.floor(seconds / length)} ${unit}`;
  const next = units[at + 1];
  const rest = next ? Math.floor((seconds % length) / next[0]) : 0;
  return rest && unit !== "min" ? `${whole} ${rest} ${next[1]}` : whole;
}

/** The value below which this share of the counted times lies, in seconds; null where there are none. */
function percentile(counts, bounds, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let before = 0;
  for (const [index, bound] of bounds.entries()) {
    const count = counts[index];
    if (before + count >= total * share) {
      const from = index === 0 ? 0 : bounds[index - 1];
      return from + (bound - from) * ((total * share - before) / count);
    }
    before += count;
  }
  return bounds[bounds.length - 1];
}

// ── history ─────────────────────────────────────────────────────────────────────────────────

let samples = []; // { at: seconds, of: Map(name → counters) }
let bounds = [];
let names = []; // ensembles that are drawn, home first

/** How much is drawn: all there is, once that is a minute. */
function shown() {
  const seconds = samples.length ? samples.at(-1).at - samples[0].at : 0;
  return Math.min(Math.max(seconds, FIRST_WINDOW_SECONDS), WINDOW_SECONDS);
}

function remember(status) {
  const of = new Map(status.ensembles.map((ensemble) => [ensemble.name, ensemble.counters]));
  const last = samples.at(-1);
  const fell = last && [...of].some(([name, now]) => now.requests < (last.of.get(name)?.requests ?? 0));
  if (fell) samples = []; // another process counts now
  const at = performance.now() / 1000;
  samples.push({ at, of });
  samples = samples.filter((sample) => sample.at > at - WINDOW_SECONDS - LATENCY_SECONDS);
  bounds = status.latency_bounds_seconds;
  names = status.ensembles.slice(0, MOST_SERIES).map((ensemble) => ensemble.name);
}

/** Per second, between each sample and the one before. */
function rates(name, counter) {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index];
    const [now, then] = [sample.of.get(name), before.of.get(name)];
    const seconds = sample.at - before.at;
    return [sample.at, now && then ? (now[counter] - then[counter]) / seconds : null];
  });
}

/** Milliseconds, over the last few seconds before each sample. */
function latencies(name, share) {
  let from = 0;
  return samples.slice(1).map((sample, index) => {
    while (from < index && samples[from + 1].at <= sample.at - LATENCY_SECONDS) from += 1;
    const [now, then] = [sample.of.get(name)?.latency, samples[from].of.get(name)?.latency];
    if (!now || !then) return [sample.at, null];
    const found = percentile(now.map((count, bucket) => count - then[bucket]), bounds, share);
    return [sample.at, found === null ? null : found * 1000];
  });
}

const PLOTS = [
  { id: "plot-requests", points: (name) => rates(name, "requests"), unit: "per second" },
  { id: "plot-p50", points: (name) => latencies(name, 0.5), unit: "ms" },
  { id: "plot-p99", points: (name) => latencies(name, 0.99), unit: "ms" },
  { id: "plot-switches", points: (name) => rates(name, "switches"), unit: "per second" },
  { id: "plot-barriers", points: (name) => rates(name, "barriers"), unit: "per second" },
  { id: "plot-elided", points: (name) => rates(name, "elided"), unit: "per second" },
  { id: "plot-errors", points: (name) => rates(name, "errors"), unit: "per second" },
];

// ── plots ───────────────────────────────────────────────────────────────────────────────────

/** The next larger of 1, 2, 5, 10, 20, 50, … */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function draw(plot) {
  const figure = byId(plot.id);
  const [width, height, left, bottom, top] = [Math.max(figure.clientWidth, 120), 118, 38, 16, 6];
  const series = names.map((name) => plot.points(name));
  const values = series.flat().map(([, value]) => value).filter((value) => value !== null);
  const most = ceiling(Math.max(0, ...values));
  const now = samples.at(-1)?.at ?? 0;
  const seconds = shown();
  const x = (at) => left + (width - left) * (1 - (now - at) / seconds);
  const y = (value) => top + (height - top - bottom) * (1 - value / most);
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    const at = y(most * share);
    parts.push(el("line", { class: "grid", x1: left, x2: width, y1: at, y2: at }));
    parts.push(el("text", { class: "tick", x: left - 6, y: at + 4, "text-anchor": "end" }, short(most * share)));
  }
  const step = seconds > 150 ? 60 : seconds > 75 ? 30 : 15;
  for (let ago = 0; ago < seconds - step / 4; ago += step) {
    const words = ago === 0 ? "now" : step < 60 ? `−${ago} s` : `−${ago / 60} min`;
    const anchor = ago === 0 ? "end" : "middle";
    parts.push(el("text", { class: "tick", x: x(now - ago), y: height - 2, "text-anchor": anchor }, words));
  }
  for (const [index, points] of series.entries()) {
    let pen = "M";
    let path = "";
    for (const [at, value] of points) {
      if (value === null || at < now - seconds) {
        pen = "M";
        continue;
      }
      // A dot where nothing follows to draw a line to.
      path += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}${pen === "M" ? "h.01" : ""}`;
      pen = "L";
    }
    parts.push(el("path", { class: `series s${index}`, d: path }));
  }
  const latest = names.map((name, index) => [name, series[index].at(-1)?.[1]]);
  const title = figure.querySelector("figcaption").textContent;
  const said = latest.map(([name, value]) => `${name} ${short(value)}`).join(", ");
  const label = `${title}; now ${said}`;
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts);
  const nows = latest.map(([name, value], index) => el("span", { class: `s${index}` }, `${name} ${short(value)}`));
  figure.replaceChildren(figure.querySelector("figcaption"), el("p", { class: "now" }, ...nows), svg);
}

function drawLegend(all) {
  const keys = names.map((name, index) => {
    const line = el("path", { class: `series s${index}`, d: "M0 4H26" });
    return el("span", {}, el("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, line), name);
  });
  const others = all > names.length ? [el("span", { class: "quiet" }, `${all - names.length} more are not drawn`)] : [];
  byId("legend").replaceChildren(...keys, ...others);
}

// ── tables ──────────────────────────────────────────────────────────────────────────────────

/** Whether somebody is marking text in there: it would be lost. */
function isBeingRead(table) {
  const selection = document.getSelection();
  return selection.type === "Range" && table.contains(selection.anchorNode);
}

function fill(id, bodies) {
  const table = byId(id);
  if (!isBeingRead(table)) table.replaceChildren(table.tHead, ...bodies);
}

const cell = (content, attributes) => el("td", attributes, content ?? "–");
const state = (kind, words) => el("span", { class: `state ${kind}` }, words);
const group = (width, name, ...details) =>
  el("tr", { class: "group" },
    el("th", { colspan: width, scope: "rowgroup" }, el("span", {}, name, el("small", {}, ...details))));

const HEALTH = { serving: "good", "not serving": "fair", unreachable: "bad", unknown: "unknown" };

function serverRow(server) {
  const why = server.reason && el("span", { class: "why wrap" }, server.reason);
  const trip = server.round_trip_ms === undefined ? undefined : `${short(server.round_trip_ms)} ms`;
  const preferred = server.preferred ? el("span", { class: "why" }, "preferred") : undefined;
  return el("tr", {},
    el("td", { class: "mono" }, server.address, preferred ?? ""),
    el("td", {}, state(HEALTH[server.health] ?? "unknown", server.health), why ?? ""),
    cell(server.role), cell(trip, { class: "number" }), cell(server.zxid, { class: "number mono" }),
    cell(server.nodes === undefined ? undefined : short(server.nodes), { class: "number" }), cell(server.version));
}

function showEnsembles(ensembles) {
  fill("ensembles", ensembles.map((ensemble) => {
    const open = ensemble.circuit === "open";
    const serving = ensemble.servers.filter((server) => server.health === "serving").length;
    const details = [ensemble.place, `barrier ${ensemble.barrier}`, `${serving} of ${ensemble.servers.length} serving`];
    const bad = open ? el("span", { class: "bad" }, " · out of reach: requests there fail at once") : undefined;
    const head = group(7, ensemble.name, details.join(" · "), bad);
    return el("tbody", {}, head, ...ensemble.servers.map(serverRow));
  }));
}

const LEGS = { live: "good", dialing: "fair", idle: "unknown", retiring: "unknown", parked: "unknown" };

function legRow(leg) {
  const held = (count) => leg.holds && `${leg.holds.complete ? "" : "≥ "}${short(leg.holds[count])}`;
  const server = leg.server && `${leg.server}${leg.role ? `, ${leg.role}` : ""}`;
  return el("tr", {},
    cell(leg.ensemble), el("td", {}, state(LEGS[leg.state] ?? "unknown", leg.state)),
    cell(server, { class: "mono" }), cell(held("watches"), { class: "number" }),
    cell(held("ephemerals"), { class: "number" }), cell(short(leg.in_flight), { class: "number" }),
    cell(leg.session, { class: "mono" }));
}

function sessionDetails(session) {
  if (session.state === "silent") return "connected, but did not tell of itself in time";
  if (session.state === "parked") {
    const kept = `remembered for ${span(session.kept_for_seconds)}`;
    const over = session.over_in_seconds;
    return `client is away · remote sessions ${over ? `last ${span(over)} more` : "are most likely over"} · ${kept}`;
  }
  const details = [
    `connected ${span(session.connected_seconds)}`, session.peer && `from ${session.peer}`,
    `timeout ${short(session.timeout_ms / 1000)} s`, `last asked ${session.current}`,
    session.outstanding && `${short(session.outstanding)} outstanding`,
    session.waiting_bytes && `${short(session.waiting_bytes)} bytes waiting`,
  ];
  return details.filter(Boolean).join(" · ");
}

function showSessions(found) {
  byId("session-totals").textContent = `${short(found.connected)} connected, ${short(found.parked)} parked`;
  const bodies = found.sessions.map((session) => {
    const id = el("span", { class: "mono" }, session.session);
    return el("tbody", {}, group(7, id, sessionDetails(session)), ...(session.legs ?? []).map(legRow));
  });
  const none = byId("find").value ? "No session matches." : "No client is connected.";
  fill("sessions", bodies.length ? bodies : [el("tbody", {}, el("tr", {}, cell(none, { colspan: 7, class: "none" })))]);
  byId("more").hidden = found.isAll;
  byId("more").textContent = `The first ${found.sessions.length}, the connected ones before the others. Search to see more.`;
}

function showRoutes(found) {
  const row = (rule) => el("tr", {},
    cell(rule.prefix, { class: "mono" }), cell(rule.ensemble),
    cell(rule.root === rule.prefix ? "the same" : rule.root, { class: rule.root === rule.prefix ? "quiet" : "mono" }));
  fill("routes", [el("tbody", {}, ...found.rules.map(row))]);
}

// ── head ────────────────────────────────────────────────────────────────────────────────────

function showHead(status) {
  for (const [id, text] of Object.entries({
    home: status.home, listen: status.listen, version: status.version,
    fingerprint: status.fingerprint, uptime: span(status.uptime_seconds),
  })) byId(id).textContent = text;
  const isDown = (server) => ["not serving", "unreachable"].includes(server.health);
  const servers = status.ensembles.flatMap((ensemble) => ensemble.servers);
  const down = servers.filter(isDown).length;
  const out = status.ensembles.filter((ensemble) => ensemble.servers.every(isDown));
  if (!status.ready) verdict("bad", "not ready", `Not ready: ${status.reason}.`);
  else if (out.length > 1) verdict("fair", `ready, ${out.length} ensembles out of reach`);
  else if (out.length) verdict("fair", `ready, ${out[0].name} out of reach`);
  else if (down) verdict("fair", `ready, ${down} of ${servers.length} servers down`);
  else verdict("good", "ready");
  document.body.classList.remove("stale");
}

function verdict(kind, words, banner) {
  const shown = byId("verdict");
  shown.className = `verdict ${kind}`;
  // Written only when it changes, or it would be read out every second.
  if (shown.textContent !== words) shown.textContent = words;
  if (byId("banner").textContent !== (banner ?? "")) byId("banner").textContent = banner ?? "";
  byId("banner").hidden = !banner;
  document.title = `${kind === "bad" ? "✕ " : ""}zoonet ${byId("home").textContent}`;
}

let lost; // since when the sidecar has not answered

function showLost(error) {
  lost ??= new Date();
  const words = `The sidecar has not answered since ${lost.toLocaleTimeString()}; what is shown is older. (${error.message})`;
  verdict("bad", "no answer", words);
  document.body.classList.add("stale");
}

// ── going ───────────────────────────────────────────────────────────────────────────────────

/** Does it again and again, one at a time. */
function every(period, job) {
  const run = async () => {
    const begun = performance.now();
    await job().catch(() => {}); // what is wrong is said by the status
    setTimeout(run, Math.max(0, period - (performance.now() - begun)));
  };
  run();
}

async function refresh() {
  try {
    const status = await ask("/status.json");
    lost = undefined;
    remember(status);
    showHead(status);
    showEnsembles(status.ensembles);
    drawLegend(status.ensembles.length);
    PLOTS.forEach(draw);
  } catch (error) {
    showLost(error);
  }
}

async function refreshSessions() {
  const text = byId("find").value.trim();
  const find = text ? `&find=${encodeURIComponent(text)}` : "";
  const list = (state, limit) => ask(`/sessions?state=${state}&limit=${limit}${find}`);
  // Whoever is connected comes first: of those that are away there may be many.
  const connected = await list("connected", SESSIONS_SHOWN);
  const room = SESSIONS_SHOWN - connected.sessions.length;
  const parked = room ? await list("parked", room) : undefined;
  if (byId("find").value.trim() !== text) return;
  const sessions = [...connected.sessions, ...(parked?.sessions ?? [])];
  const isAll = !connected.next_after && (parked ? !parked.next_after : !connected.parked);
  showSessions({ ...connected, sessions, isAll });
}

async function follow() {
  const path = byId("path").value.trim();
  let words = "";
  if (path && !path.startsWith("/")) words = "Paths begin with /.";
  else if (path) {
    const found = await ask(`/routes?path=${encodeURIComponent(path)}`).catch((error) => ({ error }));
    words = found.error
      ? found.error.message
      : `to ${found.ensemble}${found.real === found.path ? "" : `, as ${found.real}`}, by the rule ${found.rule}`;
  }
  if (byId("path").value.trim() === path) byId("goes").textContent = words;
}

/** Once typing has paused. */
function settled(job) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => job().catch(() => {}), 150);
  };
}

byId("find").addEventListener("input", settled(refreshSessions));
byId("path").addEventListener("input", settled(follow));
window.addEventListener("resize", () => PLOTS.forEach(draw));

every(PERIOD_MS, refresh);
every(SESSIONS_PERIOD_MS, refreshSessions);
every(ROUTES_PERIOD_MS, async () => showRoutes(await ask("/routes")));
