// Draws what the aggregator sends. Every text goes in as text, never as markup: labels come from other machines.
"use strict";

const STALE_AFTER_MS = 15000;
let lastMessage = 0;
let skewMs = 0; // this device's clock minus the aggregator's

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("data-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - skewMs - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// A span whose text follows the clock; `tick` rewrites all of them each second.
function since(ms, before) {
  return make("span", { class: "since", "data-since": ms, "data-before": before }, `${before} ${ago(ms)}`);
}

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = `${element.dataset.before} ${ago(Number(element.dataset.since))}`;
  }
  const live = document.getElementById("live");
  const age = Date.now() - lastMessage;
  if (!lastMessage) return;
  const lost = age > STALE_AFTER_MS;
  document.body.classList.toggle("stale", lost);
  live.dataset.state = lost ? "lost" : "live";
  live.textContent = lost ? `no contact for ${Math.round(age / 1000)} s; what is below is old` : "live";
}

const FLOW_WORDS = { ok: "yes", degraded: "degraded", broken: "no", unknown: "unknown" };

function drawFlows(flows) {
  document.getElementById("flows").replaceChildren(
    ...flows.map((flow) =>
      make("li", { class: "flow", "data-state": flow.state },
        make("div", { class: "head" }, make("span", {}, flow.question || flow.title),
          make("span", { class: "state", "data-state": flow.state }, FLOW_WORDS[flow.state])),
        make("div", { class: "text" }, flow.text))),
  );
}

// Few alerts are told in full. Of many, the first are, the next are lines to open, and the rest waits behind a button:
// the nodes below must stay in reach. What the viewer opened or closed stays so when the next picture comes.
const ALL_IN_FULL = 4;
const SOME_IN_FULL = 2;
const LINES = 10;
const opened = new Map();
let everyAlert = false;

function drawAlert(alert, inFull) {
  const key = `${alert.name} ${alert.node} ${alert.since_ms} ${alert.summary}`;
  const details = make("details", {},
    make("summary", { class: "head" },
      make("span", { class: "state", "data-state": alert.severity }, alert.severity),
      make("span", { class: "summary" }, alert.summary || alert.name),
      since(alert.since_ms, "since")),
    alert.description ? make("p", { class: "more" }, alert.description) : null,
    alert.action ? make("p", { class: "more" }, `To do: ${alert.action}`) : null,
    alert.hidden_by ? make("p", { class: "more" }, `Not told: explained by ${alert.hidden_by}`) : null);
  details.open = opened.has(key) ? opened.get(key) : inFull;
  details.firstChild.addEventListener("click", () => opened.set(key, !details.open));
  return make("li", { class: "alert", "data-severity": alert.severity, "data-muted": String(Boolean(alert.hidden_by)) }, details);
}

// Alerts that nobody has to act on: one line for each kind, with the nodes it is true of.
function drawQuiet(alerts) {
  const kinds = new Map();
  for (const alert of alerts) kinds.set(alert.name, [...(kinds.get(alert.name) || []), alert]);
  return [...kinds.values()].map((same) => {
    const nodes = same.map((alert) => alert.node).filter(Boolean);
    return make("li", { title: same[0].description },
      make("span", { class: "kind" }, same[0].name), ` ${nodes.length ? nodes.join(", ") : same[0].summary}`);
  });
}

function drawAlerts(alerts) {
  const loud = alerts.filter((alert) => alert.severity === "critical" || alert.severity === "warning");
  const quiet = alerts.filter((alert) => !loud.includes(alert));
  document.getElementById("alerts-section").hidden = loud.length === 0;
  document.getElementById("alerts-title").textContent = `Firing (${loud.length})`;
  if (loud.length === 0) opened.clear();
  const full = loud.length <= ALL_IN_FULL ? ALL_IN_FULL : SOME_IN_FULL;
  const shown = everyAlert ? loud : loud.slice(0, LINES);
  document.getElementById("alerts").replaceChildren(...shown.map((alert, index) => drawAlert(alert, index < full)));
  const more = document.getElementById("alerts-more");
  more.hidden = loud.length <= LINES;
  more.textContent = everyAlert ? "Show fewer" : `Show all ${loud.length}`;
  more.onclick = () => { everyAlert = !everyAlert; drawAlerts(alerts); tick(); };
  document.getElementById("quiet-section").hidden = quiet.length === 0;
  document.getElementById("quiet").replaceChildren(...drawQuiet(quiet));
}

function vital(reading) {
  const unknown = reading.value === null;
  const row = make("div", { class: unknown ? "vital unknown" : "vital", title: reading.help || "" },
    make("span", {}, reading.title));
  const track = make("div", { class: "track" });
  if (!unknown && reading.ratio !== null) {
    const fill = make("div", { class: "fill", "data-state": reading.state });
    fill.style.width = `${Math.max(0, Math.min(100, reading.ratio * 100))}%`;
    track.append(fill);
  }
  row.append(track, make("span", { class: "value" }, unknown ? "unknown" : reading.value));
  return row;
}

function spark(points) {
  const known = points.filter((value) => value !== null);
  if (known.length < 2) return null;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${points.length - 1} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "processor use, last 15 minutes");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  let drawing = false;
  let line = "";
  points.forEach((value, index) => {
    // A gap stays a gap: no line is drawn over time that nobody measured.
    if (value === null) { drawing = false; return; }
    line += `${drawing ? "L" : "M"}${index} ${(98 - 96 * Math.max(0, Math.min(1, value))).toFixed(1)}`;
    drawing = true;
  });
  path.setAttribute("d", line);
  svg.append(path);
  return svg;
}

const SERVICE_WORDS = { up: "", degraded: " degraded", down: " down", unknown: " unknown", unwatched: "" };
const NODE_WORDS = { up: "up", warning: "up, look at it", critical: "up, in trouble", down: "down", unknown: "unknown" };

function drawNode(node) {
  const card = make("li", { class: "node", "data-state": node.state, id: `node-${node.name}` },
    make("div", { class: "head" },
      make("h3", {}, node.name),
      make("span", {},
        make("span", { class: "state", "data-state": node.state === "warning" ? "warning" : node.state }, NODE_WORDS[node.state]),
        node.since_ms ? " " : null,
        node.since_ms ? since(node.since_ms, "for") : null)),
    make("p", { class: "about" }, [node.role, node.board, node.address].filter(Boolean).join(" · ")));
  if (node.reason) card.append(make("p", { class: "reason" }, node.reason));
  for (const reading of node.vitals) card.append(vital(reading));
  const line = spark(node.spark);
  if (line) card.append(make("div", { class: "caption" }, "processor, last 15 min"), line);
  const chips = make("div", { class: "services" });
  for (const flag of node.flags) chips.append(make("span", { class: "chip", "data-state": "flag", title: flag.help }, flag.text));
  for (const service of node.services) {
    chips.append(make("span", { class: "chip", "data-state": service.state, title: service.help },
      `${service.title}${service.port ? ` :${service.port}` : ""}${SERVICE_WORDS[service.state]}`));
  }
  card.append(chips);
  // Why, where no pointer can hover over a chip.
  for (const service of node.services) {
    if (node.state === "down" || !["down", "degraded", "unknown"].includes(service.state)) continue;
    card.append(make("p", { class: "why", "data-state": service.state }, `${service.title}: ${service.help}`));
  }
  return card;
}

function drawTiers(tiers) {
  document.getElementById("tiers").replaceChildren(
    ...tiers.map((tier) =>
      make("section", { "data-nodes": Math.min(tier.nodes.length, 4) },
        make("h2", {}, `Tier ${tier.tier}: ${tier.title}`),
        make("ul", { class: "nodes" }, ...tier.nodes.map(drawNode)))),
  );
}

// The time of today, the day of what is older.
function when(ms) {
  const time = new Date(ms);
  const today = time.toDateString() === new Date().toDateString();
  return today ? time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : time.toLocaleDateString([], { day: "numeric", month: "short" });
}

function drawJournal(entries) {
  document.getElementById("journal-section").hidden = entries.length === 0;
  document.getElementById("journal").replaceChildren(
    ...entries.map((entry) =>
      make("li", {},
        make("span", { class: "time", title: new Date(entry.time_ms).toLocaleString() }, when(entry.time_ms)),
        make("span", { class: "title" }, entry.title),
        make("span", { class: "outcome", "data-state": entry.state }, entry.text))),
  );
}

function draw(status) {
  skewMs = Date.now() - status.time_ms;
  document.title = `${status.verdict.state === "ok" ? "" : "(!) "}${status.cluster} – Tierwatch`;
  document.getElementById("cluster").textContent = status.cluster;
  const verdict = document.getElementById("verdict");
  verdict.dataset.state = status.verdict.state;
  verdict.textContent = status.verdict.text;
  const notes = document.getElementById("notes");
  notes.hidden = status.notes.length === 0;
  notes.replaceChildren(...status.notes.map((note) => make("li", {}, note)));
  drawFlows(status.flows);
  drawAlerts(status.alerts);
  drawTiers(status.tiers);
  drawJournal(status.journal);
}

function connect() {
  const source = new EventSource("page/stream");
  source.addEventListener("status", (event) => {
    lastMessage = Date.now();
    draw(JSON.parse(event.data));
    tick();
  });
  source.addEventListener("beat", () => { lastMessage = Date.now(); });
  source.onerror = () => {
    // EventSource tries again by itself, except when the answer was not a stream at all.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

setInterval(tick, 1000);
connect();
