// The picture of the estate, the fault menu and the drawer with the wire. What the picture shows is told by whoever started the page.

import { ask, h, renew, renewKeyed } from "/dom.js";

const TONES = [
  [/^(ok|healthy|active|serving|up|running|good)/i, "good"],
  [/(drain|start|stopp|resiz|new|wait|boot|pending|shutting|busy)/i, "busy"],
  [/^(off|down|gone|archive|none|idle)/i, "off"],
  [/(bad|fail|unhealthy|error|dead|unreach|lost)/i, "bad"],
];
const tone = (...words) => words.map((word) => TONES.find(([form]) => form.test(String(word ?? "")))?.[1]).find(Boolean) ?? "off";
const count = (number, one, many) => (number === undefined || number === null ? null : `${number} ${number === 1 ? one : many}`);

/** The estate at the right of the chat. */
export function drawPanel(root, state, actions, told, press) {
  root.hidden = !state && !actions.length;
  if (root.hidden) return;
  renew(root, [
    h("div", { class: "head", data: { key: "head" } }, h("h2", {}, state?.title ?? "Estate"), h("span", { class: "grow" }), state?.cost && h("span", { class: "cost", title: "What all of it costs now" }, state.cost)),
    h("div", { class: "scroll", data: { key: "scroll" }, tabindex: "0", role: "region", "aria-label": "Clusters and what can go wrong" },
      (state?.clusters ?? []).map(drawCluster),
      state?.note && h("p", { class: "hint" }, state.note),
      actions.length > 0 && h("section", { class: "faults", "aria-label": "What can go wrong", data: { key: "faults" } },
        h("h3", {}, "Make something go wrong"),
        actions.map((one) => h("button", { type: "button", class: "fault", data: { key: one.id }, onclick: () => press(one) },
          h("span", {}, one.label), one.hint && h("span", { class: "hint" }, one.hint))),
        h("p", { class: "told", role: "status" }, told))),
  ]);
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

const KINDS = { api: "bot → Slack", envelope: "Slack → bot", ack: "ack", respond: "respond", socket: "socket", note: "note", problem: "problem" };
let entries = [];
let last = 0;
let loading = false;

/** The drawer: what went over the wire, newest first. */
export async function drawHood(root, total, close) {
  if (root.hidden || loading) return;
  loading = true;
  try {
    if (total > last) {
      const { entries: fresh } = await ask(`/_ui/journal?after=${last}`);
      entries = [...entries, ...fresh].slice(-300);
      last = entries.at(-1)?.number ?? last;
    }
  } finally {
    loading = false;
  }
  if (!root.firstChild) {
    root.append(h("div", { class: "head" }, h("h2", {}, "Under the hood"), h("span", { class: "hint" }, "what went over the wire, newest first; secret fields are masked"),
      h("span", { class: "grow" }), h("button", { type: "button", class: "quiet", "aria-label": "Close the drawer", onclick: close }, "✕")),
    h("div", { class: "wire", tabindex: "0", role: "region", "aria-label": "Wire" }));
  }
  renewKeyed(root.querySelector(".wire"), [...entries].reverse().map((entry) => ({ key: String(entry.number), version: entry.number, draw: () => drawEntry(entry) })));
}

function drawEntry(entry) {
  const detail = { ...(Object.keys(entry.sent).length ? { sent: entry.sent } : {}), ...(Object.keys(entry.answer).length ? { answer: entry.answer } : {}) };
  const row = [
    h("span", { class: "n" }, String(entry.number)), h("span", { class: `kind ${entry.kind}` }, KINDS[entry.kind] ?? entry.kind),
    h("span", { class: "what" }, entry.name), h("span", { class: entry.ok ? "result" : "result bad" }, [entry.ok ? "" : "✕ ", entry.note].join("")),
    h("span", { class: "ms" }, entry.ms === null ? "" : `${entry.ms} ms`),
  ];
  if (!Object.keys(detail).length) return h("div", { class: "entry" }, row);
  return h("details", { class: "entry" }, h("summary", {}, row), h("pre", { tabindex: "0" }, JSON.stringify(detail, null, 2)));
}
