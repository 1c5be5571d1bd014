// The picture of the cloud, its clock, the faults, and the drawer with the wire. The process that serves the page says what the picture shows.

import { ask, h, renew, renewKeyed } from "/dom.js";

const TONES = [
  [/^(ok|healthy|active|in service|up|running|good)/i, "good"],
  [/(drain|start|stopp|resiz|install|wait|boot|pending|shutting|powering|busy)/i, "busy"],
  [/^(off|down|gone|archive|none|idle)/i, "off"],
];
const BAD = /(bad|fail|fault|unhealthy|error|dead|unreach|lost)/i;
const tone = (...words) => words.some((word) => BAD.test(String(word ?? ""))) ? "bad" : words.map((word) => TONES.find(([form]) => form.test(String(word ?? "")))?.[1]).find(Boolean) ?? "off";
const count = (number, one, many) => (number === undefined || number === null ? null : `${number} ${number === 1 ? one : many}`);

/** The cloud at the right of the chat. */
export function drawPanel(root, state, actions, told, press, close) {
  root.hidden = !state && !actions.length;
  if (root.hidden) return;
  renew(root, [
    h("div", { class: "head", data: { key: "head" } }, h("h2", {}, state?.title ?? "Cloud"), h("span", { class: "grow" }), state?.cost && h("span", { class: "cost", title: "What all of it costs now" }, state.cost),
      h("button", { type: "button", class: "quiet narrow", "aria-label": "Close the cloud", onclick: close }, "✕")),
    h("p", { class: told ? "told" : "told sr", role: "status", data: { key: "told" } }, told),
    h("div", { class: "scroll", data: { key: "scroll" }, tabindex: "0", role: "region", "aria-label": "Clusters and what can go wrong" },
      (state?.clusters ?? []).map(drawCluster),
      state?.note && h("p", { class: "hint" }, state.note),
      groups(actions.filter((one) => APART.includes(one.kind))).map((group) => drawGroup(group, state, press)),
      actions.some((one) => !APART.includes(one.kind)) && h("h2", { class: "faults-title", data: { key: "faults" } }, "Make something fail"),
      groups(actions.filter((one) => !APART.includes(one.kind))).map((group) => drawGroup(group, state, press))),
  ]);
}

/** Not faults: what a day brings. */
const APART = ["Clock", "Meetings"];

function groups(actions) {
  const kinds = [...new Set(actions.map((one) => one.kind))];
  return kinds.map((kind) => ({ kind, actions: actions.filter((one) => one.kind === kind) }));
}

function drawGroup(group, state, press) {
  const on = (one) => (state?.on ?? []).includes(one.id);
  const active = group.actions.filter(on).length;
  return h("section", { class: "switches", "aria-label": group.kind, data: { key: group.kind } },
    h("h3", {}, group.kind, active > 0 && h("span", { class: "pill busy" }, `${active} on`)),
    group.actions.map((one) => h("button", { type: "button", class: on(one) ? "fault on" : "fault", data: { key: one.id }, "aria-pressed": one.toggle ? String(on(one)) : null, onclick: () => press(one) },
      h("span", { class: "grow" }, one.label, one.hint && h("span", { class: "hint" }, one.hint)),
      one.toggle || on(one) ? h("span", { class: "switch", "aria-hidden": one.toggle ? "true" : null }, on(one) ? "on" : "off") : null)));
}

function drawCluster(cluster) {
  return h("section", { class: "cluster", data: { key: cluster.name }, "aria-label": `Cluster ${cluster.name}` },
    h("div", { class: "cluster-head" }, h("h3", {}, cluster.name),
      cluster.state && h("span", { class: `pill ${cluster.tone ?? tone(cluster.state)}` }, cluster.state),
      h("span", { class: "grow" }), cluster.cost && h("span", { class: "cost" }, cluster.cost)),
    cluster.summary && h("p", { class: "hint" }, cluster.summary),
    h("ul", { class: "nodes" }, (cluster.nodes ?? []).map(drawNode)));
}

function drawNode(node) {
  const look = node.tone ?? (tone(node.state) === "good" ? tone(node.health ?? node.state, node.state) : tone(node.state, node.health));
  const life = [count(node.meetings, "meeting", "meetings"), count(node.people, "person", "people")].filter(Boolean).join(" · ");
  const state = [node.state, node.health !== node.state && node.health].filter(Boolean).join(" · ");
  return h("li", { class: `node ${look}`, data: { key: node.name } },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", { class: "node-name", title: node.name }, node.name), h("span", { class: "node-state" }, state),
    (life || node.note || node.size) && h("span", { class: "node-life" }, [node.size, life, node.note].filter(Boolean).join(" · ")));
}

const KINDS = {
  api: "bot → Slack", envelope: "Slack → bot", ack: "ack", respond: "respond", socket: "socket", note: "note", problem: "problem",
  digitalocean: "bot → DigitalOcean", ssh: "bot → node, SSH", spaces: "bot → Spaces", livekit: "bot → LiveKit", health: "bot → health check",
};
const SERVICES = [["all", "All"], ["slack", "Slack"], ["digitalocean", "DigitalOcean"], ["ssh", "SSH"], ["spaces", "Spaces"], ["livekit", "LiveKit"], ["health", "Health checks"]];
const KEPT = 200;
const serviceOf = (entry) => (SERVICES.some(([name]) => name === entry.kind) ? entry.kind : "slack");
const heard = new Map(SERVICES.slice(1).map(([name]) => [name, []]));
let only = "all";
let last = 0;
let loading = false;

/** The drawer: what went over the wire, newest first; of each service the latest lines. */
export async function drawHood(root, total, close) {
  if (root.hidden || loading) return;
  loading = true;
  try {
    if (total > last) {
      const { entries } = await ask(`/_ui/journal?after=${last}`);
      for (const entry of entries) heard.get(serviceOf(entry)).push(entry);
      for (const kept of heard.values()) kept.splice(0, kept.length - KEPT);
      last = entries.at(-1)?.number ?? last;
    }
  } finally {
    loading = false;
  }
  if (!root.firstChild) {
    root.append(h("div", { class: "head" }, h("h2", {}, "Under the hood"), h("span", { class: "hint" }, "what the bot sends and receives, newest first; secrets are masked"),
      h("span", { class: "grow" }), h("button", { type: "button", class: "quiet", "aria-label": "Close the drawer", onclick: close }, "✕")),
    h("div", { class: "filters", role: "group", "aria-label": "Service" }),
    h("div", { class: "wire", tabindex: "0", role: "region", "aria-label": "Wire" }));
  }
  renew(root.querySelector(".filters"), SERVICES.map(([name, label]) => h("button", {
    type: "button", class: "filter", "aria-pressed": String(only === name), data: { key: name }, onclick: () => { only = name; drawHood(root, total, close); },
  }, label)));
  const shown = only === "all" ? [...heard.values()].flat().sort((one, other) => one.number - other.number).slice(-KEPT) : heard.get(only);
  renewKeyed(root.querySelector(".wire"), shown.length ? [...shown].reverse().map((entry) => ({ key: String(entry.number), version: entry.number, draw: () => drawEntry(entry) }))
    : [{ key: "none", version: only, draw: () => h("p", { class: "empty" }, "Nothing yet.") }]);
}

function drawEntry(entry) {
  const detail = { ...(Object.keys(entry.sent).length ? { sent: entry.sent } : {}), ...(Object.keys(entry.answer).length ? { answer: entry.answer } : {}) };
  const row = [
    h("span", { class: "n" }, String(entry.number)), h("span", { class: `kind ${entry.kind}` }, KINDS[entry.kind] ?? entry.kind),
    h("span", { class: "what" }, entry.name), h("span", { class: entry.ok ? "result" : "result bad" }, [entry.ok ? "" : "✕ ", entry.note].join("")),
    h("span", { class: "ms" }, entry.ms === null ? "" : `${entry.ms} ms`),
  ];
  if (!Object.keys(detail).length) return h("div", { class: "entry" }, row);
  // A script or an output is shown as lines, not as one string of JSON.
  const texts = Object.entries(detail).flatMap(([side, body]) => Object.entries(body).filter(([, value]) => typeof value === "string" && value.includes("\n")).map(([key, value]) => [side, key, value]));
  if (texts.length) return h("details", { class: "entry" }, h("summary", {}, row), texts.map(([, key, value]) => [h("div", { class: "detail hint" }, key), h("pre", { tabindex: "0" }, value)]));
  return h("details", { class: "entry" }, h("summary", {}, row), h("pre", { tabindex: "0" }, JSON.stringify(detail, null, 2)));
}
