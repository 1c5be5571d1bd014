// The page: one person's screen, drawn again whenever the workspace changes.

import { drawBlocks, readAll } from "/blocks.js";
import { ask, h, renew, renewKeyed, svg } from "/dom.js";
import { mrkdwn, textOf, when } from "/mrkdwn.js";
import { drawHood, drawPanel } from "/panel.js";

const $ = (id) => document.getElementById(id);
const state = { me: "", place: "", thread: null, told: "", read: "0", point: null, filled: {}, seen: {}, snapshot: null, start: null, source: null, modalKey: "", steps: false, held: [] };

// --- who and where --------------------------------------------------------------------------------------------------------

const COLOURS = ["#8a3ffc", "#0f7b6c", "#b3541e", "#1f6feb", "#a2255c", "#4d7c0f", "#6b4e9b"];

function avatar(user) {
  const bot = user?.is_bot;
  const initials = bot ? "◆" : (user?.real_name ?? "?").split(/\s+/).map((word) => word[0]).join("").slice(0, 2).toUpperCase();
  const spot = h("span", { class: bot ? "avatar bot" : "avatar", "aria-hidden": "true" }, initials);
  const sum = [...(user?.id ?? "")].reduce((total, char) => total * 31 + char.charCodeAt(0), 7);
  if (!bot) spot.style.backgroundColor = COLOURS[Math.abs(sum) % COLOURS.length];
  return spot;
}

function world() {
  const { users, channels, groups, me, now } = state.snapshot;
  const find = (list, id, key) => list.find((one) => one.id === id)?.[key];
  return {
    me, now, tz: find(users, me, "tz") ?? "UTC",
    name: (id) => find(users, id, "name"), channel: (id) => find(channels, id, "name"), group: (id) => find(groups, id, "handle"),
    people: () => users.filter((one) => !one.is_bot && !one.deleted).map((one) => [one.id, one.real_name]),
    rooms: () => channels.filter((one) => !one.im).map((one) => [one.id, `#${one.name}`]),
  };
}

function remember() {
  const wanted = `#as=${state.me}&in=${state.place}`;
  if (location.hash !== wanted) history.replaceState(null, "", wanted);
}

function become(user) {
  state.me = user;
  state.thread = null;
  state.source?.close();
  state.source = new EventSource(`/_ui/stream?as=${encodeURIComponent(user)}`);
  state.source.onmessage = (event) => { $("lost").hidden = true; state.snapshot = JSON.parse(event.data); draw(); };
  state.source.onerror = () => { $("lost").hidden = false; };
  ask("/_ui/act", { as: user, kind: "acting_as" });
  if (state.place === "home") openHome(user);
}

async function openHome(user) {
  if (state.snapshot) await answered();
  ask("/_ui/act", { as: user, kind: "home" });
}

function go(place) {
  state.place = place;
  state.thread = null;
  $("sidebar").classList.remove("open");
  $("menu").setAttribute("aria-expanded", "false");
  if (place === "home") openHome(state.me);
  draw(true);
}

async function act(what) {
  const answer = await ask("/_ui/act", { as: state.me, ...what });
  if (!answer.ok) toast(answer.error);
  return answer;
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  // In front of a modal, too: only the top layer is seen there.
  ($("modal").open ? $("modal") : document.body).append($("toast"));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 6000);
}

// --- using blocks ---------------------------------------------------------------------------------------------------------

function surface(where, more = {}) {
  return { where, world: world(), ...more, act: (kind, block, element, answer) => use(where, kind, block, element, answer) };
}

async function use(where, kind, block, element, answer) {
  if (element.confirm && !(await confirmed(element.confirm))) return;
  const node = document.querySelector(`[data-block="${CSS.escape(block.block_id)}"][data-action="${CSS.escape(element.action_id ?? "")}"]`);
  node?.classList.add("waiting");
  await act({ kind, where, block_id: block.block_id, action_id: element.action_id, answer });
  node?.classList.remove("waiting");
}

function confirmed(asked) {
  const dialog = $("confirm");
  return new Promise((resolve) => {
    const answer = (yes) => { dialog.close(); resolve(yes); };
    dialog.replaceChildren(
      h("div", { class: "modal-head" }, h("h2", { id: "confirm-title" }, textOf(asked.title, world()))),
      h("div", { class: "modal-body text" }, textOf(asked.text, world())),
      h("div", { class: "modal-foot" }, h("button", { type: "button", class: "button", onclick: () => answer(false) }, asked.deny.text),
        h("button", { type: "button", class: `button ${asked.style ?? "primary"}`, onclick: () => answer(true) }, asked.confirm.text)));
    dialog.oncancel = (event) => { event.preventDefault(); answer(false); };
    dialog.showModal();
  });
}

// --- drawing --------------------------------------------------------------------------------------------------------------

function draw(jump = false) {
  const shot = state.snapshot;
  if (!shot) return;
  const channels = shot.channels;
  if (state.place !== "home" && !channels.some((one) => one.id === state.place)) state.place = channels.find((one) => !one.im)?.id ?? "home";
  $("team").textContent = shot.team;
  $("clock").textContent = shot.panel?.clock ?? when("time", shot.now, world());
  $("clock-slim").textContent = when("time", shot.now, world());
  $("hood-count").textContent = shot.journal;
  $("hood-count").classList.toggle("bad", shot.problems > 0);
  drawPeople();
  drawStarting(shot.starting);
  drawGuide(shot.guide);
  drawSidebar();
  drawMain(jump);
  drawThread();
  drawModal();
  drawPanel($("panel"), shot.panel, state.start.panel_actions, state.told, press, () => closePanel());
  $("estate-toggle").hidden = $("panel").hidden;
  drawHood($("hood"), shot.journal, toggleHood);
  remember();
  // After a change of the person only with that person's screen: it begins at the end of the chat.
  if (state.point && shot.me === state.me) { const point = state.point; state.point = null; point(); }
}

let toldTimer;
async function press(one) {
  const answer = await ask("/_ui/panel", { id: one.id });
  state.told = answer.ok ? answer.text : answer.error;
  clearTimeout(toldTimer);
  toldTimer = setTimeout(() => { state.told = ""; draw(); }, 10000);
  draw();
}

function drawPeople() {
  renew($("people"), state.start.people.map((user) => h("button", {
    type: "button", role: "radio", "aria-checked": String(user.id === state.me), tabindex: user.id === state.me ? "0" : "-1",
    class: "person", data: { key: user.id }, title: `Act as ${user.real_name}`, "aria-label": user.real_name,
    onclick: () => become(user.id), onkeydown: walkPeople,
  }, avatar(user), h("span", { class: "wide" }, user.name))));
}

function walkPeople(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const people = state.start.people;
  const next = people[(people.findIndex((one) => one.id === state.me) + step + people.length) % people.length];
  become(next.id);
  $("people").querySelector(`[data-key="${next.id}"]`).focus();
}

function drawStarting(text) {
  $("starting").hidden = !text;
  if ($("starting-text").textContent !== text) $("starting-text").textContent = text;
  if (!text) state.held.splice(0).forEach((go) => go());
}

/** Resolves when commands are answered: at once, but for the first seconds of a demo. */
function answered() {
  if (!state.snapshot.starting) return Promise.resolve();
  return new Promise((resolve) => { state.held.push(resolve); });
}

// One line: where one is, and what to do next. It fits on any width; all steps are behind a button.
function drawGuide(steps) {
  $("guide").hidden = !steps.length;
  if (!steps.length) return;
  const current = steps.findIndex((step) => !step.ticked);
  const now = steps[current];
  const then = steps.slice(current + 1).find((step) => !step.ticked);
  const chapter = chapters(steps).findLast((one) => one.from <= current);
  renew($("guide"), [
    h("div", { class: "guide-bar", data: { key: "bar" } },
      h("span", { class: "guide-count" }, now ? [h("span", { class: "guide-part" }, `${chapter.part}: `), `${current - chapter.from + 1} of ${chapter.steps.length}`] : `All ${steps.length} steps done`),
      now && h("progress", { class: "guide-progress", max: chapter.steps.length, value: current - chapter.from, "aria-label": `Steps done of: ${chapter.part}` }),
      h("div", { class: "guide-now", role: "status" }, now && (isTyped(now) ? h("span", { class: "step now" }, mrkdwn("Press *Enter* to send it", world())) : drawStep(now, "now"))),
      then && now && h("span", { class: "guide-then hint" }, "then: ", mrkdwn(then.text, world())),
      h("button", { type: "button", class: "quiet guide-all", "aria-expanded": String(state.steps), "aria-controls": "guide-steps", onclick: () => { state.steps = !state.steps; draw(); } }, state.steps ? "Hide steps" : "All steps")),
    h("div", { class: "guide-steps", id: "guide-steps", data: { key: "steps" }, hidden: !state.steps }, chapters(steps).map((chapter) => h("section", {},
      h("h2", {}, chapter.part),
      h("ol", { start: chapter.from + 1 }, chapter.steps.map((step, place) => h("li", { class: step.ticked ? "done" : chapter.from + place === current ? "now" : "", "aria-current": chapter.from + place === current ? "step" : null },
        h("span", { class: "tick", "aria-hidden": "true" }, step.ticked ? "✓" : String(chapter.from + place + 1)), drawStep(step, ""), step.ticked && h("span", { class: "sr" }, " done")))),
    ))),
  ]);
}

/** Whether what a step fills in stands in the message box, not yet sent. */
function isTyped(step) {
  return state.filled.step === step.text && $("text")?.value === state.filled.text;
}

function drawStep(step, more) {
  const acts = step.fill || step.as || step.open || step.press || step.panel;
  return h(acts ? "button" : "span", { type: acts ? "button" : null, class: `step ${more}`, onclick: acts ? () => follow(step) : null }, mrkdwn(step.text, world()));
}

/** Steps under the name of their part. */
function chapters(steps) {
  const parts = [];
  steps.forEach((step, place) => {
    if (step.part || !parts.length) parts.push({ part: step.part ?? "Steps", from: place, steps: [] });
    parts.at(-1).steps.push(step);
  });
  return parts;
}

/** What a click on a step does. It never takes the step itself: it leads to where that is done. */
function follow(step) {
  state.steps = false;
  closePanel();
  if (step.as && step.as !== state.me) {
    become(step.as);
    toast(`You are ${state.start.people.find((one) => one.id === step.as)?.real_name} now.`);
  }
  if (step.fill) state.point = () => fill(step);
  if (step.press) state.point = () => point(step.press.map((label) => buttonOf($("log"), label)).find(Boolean));
  if (step.panel) state.point = () => { openPanel(); point($("panel").querySelector(`[data-key="${step.panel}"]`)); };
  const { channels } = state.snapshot;
  if (step.open) go(step.open);
  else if ((step.fill || step.press) && !channels.some((one) => one.id === state.place && !one.im)) go(channels.find((one) => !one.im)?.id);
  else draw();
}

function fill(step) {
  const box = $("text");
  // What a step fills in may change meanwhile, with the time in it.
  state.filled = { step: step.text, text: step.fill };
  box.value = step.fill;
  box.focus();
  box.dispatchEvent(new Event("input"));
}

/** The newest button with this label. */
function buttonOf(root, label) {
  return [...root.querySelectorAll("button.button")].findLast((one) => one.textContent.trim() === label);
}

/** Lead a person to a button, also one who has only a keyboard. */
function point(node) {
  if (!node) { toast("That button is not there yet."); return; }
  node.scrollIntoView({ block: "nearest" });
  node.focus();
  const ring = { boxShadow: "0 0 0 4px #e0a800" };
  node.animate([ring, { ...ring, offset: 0.9 }, { boxShadow: "none" }], 2500);
}

function openPanel() {
  if (!$("panel").classList.contains("open")) toggle($("estate-toggle"), $("panel"), "open");
}

function closePanel() {
  if ($("panel").classList.contains("open")) toggle($("estate-toggle"), $("panel"), "open");
}

function drawSidebar() {
  const { channels, me } = state.snapshot;
  const unread = (channel) => {
    const key = `${me}/${channel.id}`;
    const newest = channel.messages.at(-1)?.ts ?? "0";
    if (channel.id === state.place || !(key in state.seen)) state.seen[key] = newest;
    return newest > state.seen[key];
  };
  const entry = (place, sign, name, fresh) => h("li", { data: { key: place } }, h("button", {
    type: "button", class: fresh ? "room unread" : "room", "aria-current": state.place === place ? "page" : null, onclick: () => go(place),
  }, h("span", { "aria-hidden": "true" }, sign), h("span", { class: "grow" }, name), fresh && h("span", { class: "fresh" }, h("span", { class: "sr" }, "unread"))));
  const rooms = channels.filter((one) => !one.im);
  const direct = channels.filter((one) => one.im);
  renew($("sidebar"), [
    h("h2", {}, "Channels"), h("ul", {}, rooms.map((one) => entry(one.id, one.private ? lock() : "#", one.name, unread(one)))),
    h("h2", {}, "Apps"), h("ul", {},
      state.snapshot.home_enabled && entry("home", "◆", `${state.snapshot.app} · Home`, false),
      direct.map((one) => entry(one.id, "◆", `${state.snapshot.app} · Messages`, unread(one)))),
  ]);
}

function lock() {
  return svg("svg", { viewBox: "0 0 16 16", class: "emoji" }, svg("path", { d: "M4.5 7V5a3.5 3.5 0 0 1 7 0v2M3.5 7h9v6.5h-9z", fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
}

function drawMain(jump) {
  const channel = state.snapshot.channels.find((one) => one.id === state.place);
  const home = state.place === "home";
  $("log").hidden = home;
  $("composer").hidden = home || !channel.writable;
  $("no-composer").hidden = home || channel.writable;
  $("home").hidden = !home;
  $("title").textContent = home ? state.snapshot.app : channel.im ? state.snapshot.app : `# ${channel.name}`;
  $("topic").textContent = home || channel.im ? "app" : [`${channel.members} members`, channel.topic].filter(Boolean).join(" · ");
  const direct = state.snapshot.channels.find((one) => one.im);
  renew($("tabs"), (home || channel.im) && direct ? [["home", "Home"], [direct.id, "Messages"]].map(([place, name]) =>
    h("button", { type: "button", class: "tab", "aria-pressed": String(state.place === place), onclick: () => go(place) }, name)) : []);
  document.title = `${$("title").textContent} · pretend Slack`;
  if (home) return drawHome();
  const log = $("log");
  if (jump || state.drawn !== state.place + state.me) log.away = false;
  const shown = channel.messages.filter((one) => !one.thread || one.thread === one.ts || one.broadcast);
  // What only one person sees is not counted as a reply, and makes no thread.
  renewKeyed(log, rows(shown, (root) => channel.messages.filter((one) => one.thread === root.ts && one.ts !== root.ts && !one.private)));
  if (!shown.length) renew(log, [drawEmpty(channel)]);
  const newest = shown.at(-1)?.ts ?? "0";
  if (!log.away) { followEnd(log); state.read = newest; }
  state.drawn = state.place + state.me;
  $("newer").hidden = !log.away || newest <= state.read;
  drawComposer($("composer"), "text", channel.im ? state.snapshot.app : `#${channel.name}`, null);
}

function drawEmpty(channel) {
  if (!channel.writable) return h("p", { class: "empty" }, "No messages yet.");
  const welcome = state.start.welcome.map((text) => h("p", {}, mrkdwn(text, world())));
  return h("div", { class: "empty" }, welcome.length ? welcome : h("p", {}, `No messages yet. Type ${state.start.completions[0]?.text ?? "a message"} below.`));
}

/** Keep a log at its end, unless its reader scrolled away from it. */
function followEnd(log) {
  if (!log.away) log.scrollTop = log.scrollHeight;
}

// A log whose size changes (a keyboard, a longer strip, another window) stays at its end, too.
const sizes = new ResizeObserver((entries) => entries.forEach((entry) => followEnd(entry.target)));

function watchEnd(log) {
  let height = 0;
  log.addEventListener("scroll", () => {
    const resized = height !== log.clientHeight;
    height = log.clientHeight;
    if (resized && !log.away) return;
    log.away = log.scrollHeight - log.scrollTop - log.clientHeight > 60;
    if (!log.away && log === $("log")) $("newer").hidden = true;
  });
  log.addEventListener("load", () => followEnd(log), true); // a picture that came later
  sizes.observe(log);
}

function rows(messages, repliesOf) {
  let before = null;
  return messages.map((message) => {
    const replies = repliesOf(message);
    const joined = before && before.user === message.user && !before.private && !message.private && Number(message.ts) - Number(before.ts) < 300 && !replies.length;
    before = message;
    const version = JSON.stringify([message, replies.length, replies.at(-1)?.ts, joined, state.snapshot.users.length]);
    return { key: message.ts, version, draw: () => drawMessage(message, replies, joined, Boolean(repliesOf.plain)) };
  });
}

function drawMessage(message, replies, joined, inThread) {
  const user = state.snapshot.users.find((one) => one.id === message.user);
  const time = when("time", Number(message.ts), world());
  const body = message.blocks.length ? drawBlocks(message.blocks, surface(message.ts)) : [h("div", { class: "text" }, mrkdwn(message.text, world()))];
  return h("article", { class: ["message", joined && "joined", message.private && "private", message.error && "failed"].filter(Boolean).join(" "), "aria-label": `${user?.real_name ?? message.user}, ${time}` },
    message.private && h("div", { class: "only" }, "Only visible to you"),
    joined ? h("span", { class: "gutter", "aria-hidden": "true" }, time) : avatar(user),
    h("div", { class: "said" },
      !joined && h("div", { class: "who" }, h("strong", {}, user?.is_bot ? user.name : user?.real_name ?? message.user), user?.is_bot && h("span", { class: "badge" }, "APP"), h("time", {}, time)),
      body, message.edited && h("span", { class: "edited" }, "(edited)"),
      message.files.map(drawFile),
      message.reactions.length > 0 && h("div", { class: "reactions" }, message.reactions.map((one) => h("span", { class: "reaction" }, mrkdwn(`:${one.name}:`, world()), ` ${one.count}`))),
      replies.length > 0 && h("button", { type: "button", class: "replies", onclick: () => openThread(message.ts) }, `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`, h("span", { class: "hint" }, ` last at ${when("time", Number(replies.at(-1).ts), world())}`))),
    !message.private && !inThread && h("button", { type: "button", class: "reply", "aria-label": "Reply in thread", title: "Reply in thread", onclick: () => openThread(message.ts) }, "↩"));
}

function drawFile(file) {
  const kind = /\.(\w+)$/.exec(file.name)?.[1].toUpperCase() ?? "FILE";
  const link = h("a", { href: `/files/${file.id}`, target: "_blank", rel: "noopener" }, file.title);
  if (["PNG", "JPG", "JPEG", "GIF"].includes(kind)) return h("figure", { class: "file" }, h("figcaption", {}, link), h("img", { src: `/files/${file.id}`, alt: file.alt || file.title, class: "large" }));
  return h("div", { class: "file card" }, h("span", { class: "file-kind", "aria-hidden": "true" }, kind.slice(0, 4)), h("span", {}, link, h("span", { class: "hint" }, kind === "TXT" ? "Plain text" : kind)));
}

function drawHome() {
  const home = state.snapshot.home;
  renew($("home"), home ? drawBlocks(home.body.blocks, surface(home.id)) : [h("p", { class: "empty" }, "The app has not drawn its Home yet.")]);
}

function openThread(ts) {
  state.thread = ts;
  draw();
  $("thread-text")?.focus();
}

function drawThread() {
  const pane = $("thread");
  const channel = state.snapshot.channels.find((one) => one.id === state.place);
  const root = channel?.messages.find((one) => one.ts === state.thread);
  pane.hidden = !root;
  document.body.classList.toggle("threaded", Boolean(root));
  if (!root) return;
  if (!pane.firstChild) {
    pane.append(h("div", { class: "head" }, h("h2", {}, "Thread"), h("span", { class: "grow" }),
      h("button", { type: "button", class: "quiet", "aria-label": "Close the thread", onclick: () => { state.thread = null; draw(); $("text")?.focus(); } }, "✕")),
    h("div", { class: "log", role: "log", "aria-label": "Replies", tabindex: "0" }), h("form", { class: "composer" }));
    watchEnd(pane.querySelector(".log"));
  }
  const log = pane.querySelector(".log");
  if (pane.dataset.of !== root.ts) log.away = false;
  const none = () => [];
  none.plain = true;
  renewKeyed(log, rows(channel.messages.filter((one) => one.ts === root.ts || one.thread === root.ts), none));
  followEnd(log);
  pane.dataset.of = root.ts;
  pane.querySelector("form").hidden = !channel.writable;
  drawComposer(pane.querySelector("form"), "thread-text", "the thread", () => state.thread);
}

// --- modals ---------------------------------------------------------------------------------------------------------------

function drawModal() {
  const dialog = $("modal");
  const view = state.snapshot.modal;
  if (!view) {
    if (dialog.open) dialog.close();
    state.modalKey = "";
    return;
  }
  const key = JSON.stringify([state.me, view.id, view.hash, view.errors, view.trouble]);
  if (key === state.modalKey) return;
  const fresh = !state.modalKey.includes(view.id);
  state.modalKey = key;
  const close = () => act({ kind: "close", where: view.id });
  const submit = async (event) => {
    event.preventDefault();
    const foot = dialog.querySelector(".modal-foot");
    foot.classList.add("waiting");
    const answer = await ask("/_ui/act", { as: state.me, kind: "submit", where: view.id, answers: readAll(dialog) });
    foot.classList.remove("waiting");
    dialog.querySelector(".trouble").textContent = answer.ok ? "" : answer.error;
  };
  const drawn = [
    h("form", { novalidate: true, onsubmit: submit, data: { key: view.id } },
      h("div", { class: "modal-head" }, h("h2", { id: "modal-title" }, textOf(view.body.title, world())), h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: close }, "✕")),
      h("div", { class: "modal-body", tabindex: "0", role: "group", "aria-labelledby": "modal-title" }, h("div", { class: "trouble error", role: "alert" }, view.trouble), drawBlocks(view.body.blocks, surface(view.id, { errors: view.errors, level: "3" }))),
      h("div", { class: "modal-foot" }, h("button", { type: "button", class: "button", onclick: close }, view.body.close?.text ?? (view.depth > 1 ? "Back" : "Cancel")),
        view.body.submit && h("button", { type: "submit", class: "button primary" }, view.body.submit.text))),
  ];
  const field = ".modal-body input, .modal-body select, .modal-body textarea";
  const asked = Boolean(dialog.querySelector(field));
  renew(dialog, drawn);
  dialog.oncancel = (event) => { event.preventDefault(); close(); };
  if (!dialog.open) dialog.showModal();
  // Also when the fields came only now, in the place of a word that they are being looked for.
  if (fresh || !asked) (dialog.querySelector("[data-focus]") ?? dialog.querySelector(field))?.focus();
  else if (Object.keys(view.errors).length) dialog.querySelector("[aria-invalid]")?.focus();
}

// --- typing ---------------------------------------------------------------------------------------------------------------

function drawComposer(form, id, target, thread) {
  if (form.firstChild) {
    form.querySelector("textarea").placeholder = `Message ${target}`;
    form.querySelector("textarea").setAttribute("aria-label", `Message ${target}`);
    return;
  }
  const list = h("ul", { class: "completions", id: `${id}-list`, role: "listbox", "aria-label": "Completions", hidden: true });
  const box = h("textarea", { id, rows: 1, placeholder: `Message ${target}`, "aria-label": `Message ${target}`, autocomplete: "off", "aria-controls": `${id}-list`, "aria-autocomplete": "list" });
  let chosen = -1;
  let offered = [];
  const show = () => {
    offered = complete(box, Boolean(thread));
    chosen = -1;
    mark();
  };
  const mark = () => {
    list.hidden = !offered.length;
    renew(list, offered.map((one, place) => h("li", { id: `${id}-${place}`, role: "option", "aria-selected": String(place === chosen), onclick: () => take(one) },
      h("strong", {}, one.text), one.hint && h("span", { class: "usage" }, ` ${one.hint}`), one.about && h("span", { class: "hint" }, mrkdwn(one.about, world())))));
    if (chosen >= 0) { box.setAttribute("aria-activedescendant", `${id}-${chosen}`); list.children[chosen].scrollIntoView({ block: "nearest" }); }
    else box.removeAttribute("aria-activedescendant");
  };
  const take = (one) => {
    box.value = one.word ? box.value.replace(/@[\w.-]*$/, `${one.text} `) : `${one.text} `;
    box.focus();
    show();
  };
  const send = async () => {
    const text = box.value.trim();
    if (!text || box.readOnly) return;
    const [place, root] = [state.place, thread?.() ?? null];
    box.readOnly = true;
    await answered();
    box.readOnly = false;
    box.value = "";
    show();
    size();
    box.closest(".main, .thread").querySelector(".log").away = false;
    const answer = await act({ kind: "say", channel: place, text, thread_ts: root });
    if (!answer.ok && !box.value) box.value = text;
    remind(text, answer, root);
  };
  const size = () => { box.style.height = "auto"; box.style.height = `${Math.min(box.scrollHeight, 160)}px`; };
  box.oninput = () => { show(); size(); if (!thread) drawGuide(state.snapshot.guide); };
  box.onblur = () => setTimeout(() => { list.hidden = true; }, 150);
  box.onkeydown = (event) => {
    if (event.isComposing) return;
    const open = !list.hidden && offered.length;
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); if (open && chosen >= 0) take(offered[chosen]); else send(); }
    else if (open && event.key === "Tab" && !event.shiftKey) { event.preventDefault(); take(offered[Math.max(0, chosen)]); }
    else if (open && event.key === "ArrowDown") { event.preventDefault(); chosen = (chosen + 1) % offered.length; mark(); }
    else if (open && event.key === "ArrowUp") { event.preventDefault(); chosen = (chosen <= 0 ? offered.length : chosen) - 1; mark(); }
    else if (event.key === "Escape" && open) { event.preventDefault(); offered = []; mark(); }
  };
  form.onsubmit = (event) => { event.preventDefault(); send(); };
  form.append(list, box, h("button", { type: "submit", class: "send", "aria-label": "Send" }, "➤"));
}

/** Say what Slack does not: that the bot heard nothing. */
function remind(text, answer, inThread) {
  const command = state.start.completions[0]?.text.split(" ")[0];
  if (!command || inThread) return;
  if (!answer.ok && text.startsWith("/") && !text.startsWith(command)) toast(`${answer.error} The bot's command is ${command}: type ${command} help.`);
  else if (answer.ok && !/^[/]|@/.test(text) && text.split(/\s+/).length <= 3) toast(`People read this, the bot does not. Its command is ${command}: type ${command} help.`);
}

function complete(box, inThread) {
  const text = box.value;
  const word = /(?:^|\s)@([\w.-]*)$/.exec(text);
  if (word) {
    return state.snapshot.users.filter((one) => !one.deleted && one.name.startsWith(word[1])).map((one) => ({ text: `@${one.name}`, about: one.real_name, word: true })).slice(0, 8);
  }
  if (!text.startsWith("/") || inThread) return [];
  const begun = text.trimStart();
  return state.start.completions.filter((one) => one.text.startsWith(begun.trimEnd()) && one.text !== begun.trimEnd()).concat(state.start.completions.filter((one) => one.text === begun.trimEnd() && !text.endsWith(" "))).slice(0, 12);
}

// --- beginning ------------------------------------------------------------------------------------------------------------

function toggle(button, target, name) {
  const open = target.classList.toggle(name);
  button.setAttribute("aria-expanded", String(open));
}

function toggleHood() {
  $("hood").hidden = !$("hood").hidden;
  $("hood-toggle").setAttribute("aria-expanded", String(!$("hood").hidden));
  drawHood($("hood"), state.snapshot.journal, toggleHood);
  if ($("hood").hidden) $("hood-toggle").focus();
}

watchEnd($("log"));
$("newer").onclick = () => { $("log").away = false; draw(); $("text").focus(); };
$("menu").onclick = () => toggle($("menu"), $("sidebar"), "open");
$("estate-toggle").onclick = () => toggle($("estate-toggle"), $("panel"), "open");
$("hood-toggle").onclick = toggleHood;
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link && link.origin !== location.origin && link.protocol.startsWith("http")) {
    // Nothing leaves this machine: what the address names is simulated, or not there at all.
    event.preventDefault();
    toast(`In this pretend world, the link leads nowhere: ${link.href}`);
    return;
  }
  const found = link && link.origin === location.origin && /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(link.pathname);
  if (!found) return;
  // A permalink leads to the message on this page, not to another page.
  event.preventDefault();
  const thread = new URLSearchParams(link.search).get("thread_ts");
  go(found[1]);
  if (thread) openThread(thread);
  const message = document.querySelector(`${thread ? "#thread" : "#log"} [data-key="${found[2]}.${found[3]}"]`);
  message?.scrollIntoView({ block: "center" });
  message?.classList.add("pointed");
  setTimeout(() => message?.classList.remove("pointed"), 2500);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (state.steps) { state.steps = false; draw(); $("guide").querySelector(".guide-all")?.focus(); return; }
  if (state.thread) { state.thread = null; draw(); $("text")?.focus(); }
  for (const [button, target] of [["menu", "sidebar"], ["estate-toggle", "panel"]]) if ($(target).classList.contains("open")) { toggle($(button), $(target), "open"); $(button).focus(); }
});

state.start = await ask("/_ui/start");
const asked = new URLSearchParams(location.hash.slice(1));
state.place = asked.get("in") ?? "";
const people = state.start.people.map((one) => one.id);
become(people.includes(asked.get("as")) ? asked.get("as") : people[0]);
