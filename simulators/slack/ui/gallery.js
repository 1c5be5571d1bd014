// The gallery: messages and views one below the other, to be looked at. Nothing happens when something is pressed.

import { drawBlocks } from "/blocks.js";
import { ask, h } from "/dom.js";
import { mrkdwn, textOf, when } from "/mrkdwn.js";

const shot = await ask(`/_ui/gallery${location.search}`);
const now = shot.gallery.find((one) => one.now)?.now ?? shot.now;
const find = (list, id, key) => list.find((one) => one.id === id)?.[key];
const world = {
  me: shot.me, now, tz: find(shot.users, shot.me, "tz") ?? "UTC", people: () => [], rooms: () => [],
  name: (id) => find(shot.users, id, "name"), channel: (id) => find(shot.channels, id, "name"), group: (id) => find(shot.groups, id, "handle"),
};

function message(one) {
  return h("article", { class: "message", "aria-label": one.name }, h("span", { class: "avatar bot", "aria-hidden": "true" }, "◆"),
    h("div", { class: "said" },
      h("div", { class: "who" }, h("strong", {}, shot.app), h("span", { class: "badge" }, "APP"), h("time", {}, when("time", now, world))),
      one.blocks?.length ? drawBlocks(one.blocks, surface(one)) : h("div", { class: "text" }, mrkdwn(one.text, world))));
}

function view(one) {
  const { body } = one;
  if (body.type === "home") return h("div", { class: "home" }, drawBlocks(body.blocks, surface(one)));
  return h("div", { class: "modal shown" }, h("div", { class: "modal-head" }, h("h2", {}, textOf(body.title, world))),
    h("div", { class: "modal-body" }, drawBlocks(body.blocks, surface(one))),
    h("div", { class: "modal-foot" }, h("button", { type: "button", class: "button" }, body.close?.text ?? "Cancel"),
      body.submit && h("button", { type: "button", class: "button primary" }, body.submit.text)));
}

const surface = (one) => ({ where: one.name, world, act: () => {}, level: "3" });

document.getElementById("gallery").append(...shot.gallery.map((one) => h("section", { id: one.name, class: "exhibit" },
  h("h2", {}, one.name), one.body ? view(one) : message(one),
  one.text && h("p", { class: "hint" }, "As a notification, or read aloud: ", h("span", {}, mrkdwn(one.text, world))))));
document.body.dataset.drawn = "yes";
