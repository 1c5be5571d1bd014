// Block Kit as elements. `surface` says where the blocks stand and what to do when somebody uses them:
// {where, act(kind, block, element, answer), world}

import { h } from "/dom.js";
import { mrkdwn, textOf } from "/mrkdwn.js";

/** The blocks of a message, a modal or an App Home. */
export function drawBlocks(blocks, surface) {
  return blocks.map((block) => {
    const node = (BLOCKS[block.type] ?? unknown)(block, surface);
    node.dataset.key = block.block_id;
    return node;
  });
}

function unknown(thing) {
  return h("div", { class: "unknown", role: "note" }, `[${thing.type} not rendered]`);
}

const BLOCKS = {
  section: (block, surface) => h("div", { class: block.accessory ? "block section has-accessory" : "block section" },
    h("div", { class: "grow" },
      block.text && h("div", { class: "text" }, textOf(block.text, surface.world)),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, textOf(field, surface.world))))),
    block.accessory && h("div", { class: "accessory" }, drawElement(block, block.accessory, surface))),
  header: (block, surface) => h("div", { class: "block header", role: "heading", "aria-level": surface.level ?? "2" }, textOf(block.text, surface.world)),
  divider: () => h("hr", { class: "block" }),
  context: (block, surface) => h("div", { class: "block context" },
    block.elements.map((one) => (one.type === "image" ? picture(one, "tiny") : h("span", {}, textOf(one, surface.world))))),
  actions: (block, surface) => h("div", { class: "block actions" }, block.elements.map((one) => drawElement(block, one, surface))),
  image: (block, surface) => h("figure", { class: "block image" },
    block.title && h("figcaption", {}, textOf(block.title, surface.world)), picture(block, "large")),
  markdown: (block, surface) => h("div", { class: "block text" }, mrkdwn(block.text.replaceAll("**", "*"), surface.world)),
  input: (block, surface) => drawInput(block, surface),
};

function picture(image, size) {
  const source = image.slack_file ? (image.slack_file.id ? `/files/${image.slack_file.id}` : image.slack_file.url) : image.image_url;
  const own = source.startsWith("/") || source.startsWith(location.origin) || source.startsWith("data:image/");
  // Nothing is fetched from elsewhere; an outside picture is told, not loaded.
  return own ? h("img", { src: source, alt: image.alt_text, class: size, loading: "lazy" }) : h("span", { class: "unknown" }, `[picture: ${image.alt_text}]`);
}

function drawInput(block, surface) {
  const id = `${surface.where}-${block.block_id}`.replaceAll(".", "-");
  const error = surface.errors?.[block.block_id];
  const grouped = ["radio_buttons", "checkboxes"].includes(block.element.type);
  const about = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const label = [textOf(block.label, surface.world), block.optional && h("span", { class: "optional" }, " (optional)")];
  const field = drawElement(block, block.element, { ...surface, id, about, invalid: Boolean(error), required: !block.optional, inInput: true });
  return h(grouped ? "fieldset" : "div", { class: error ? "block input bad" : "block input" },
    grouped ? h("legend", {}, label) : h("label", { for: id }, label),
    field,
    error && h("div", { class: "error", id: `${id}-error`, role: "alert" }, error),
    block.hint && h("div", { class: "hint", id: `${id}-hint` }, textOf(block.hint, surface.world)));
}

function drawElement(block, element, surface) {
  const draw = ELEMENTS[element.type];
  if (!draw) return unknown(element);
  const node = draw(block, element, surface);
  node.dataset.key = element.action_id ?? `${block.block_id}-image`;
  node.dataset.block = block.block_id;
  node.dataset.action = element.action_id ?? "";
  node.dataset.kind = element.type;
  return node;
}

const naming = (element, surface, fallback) => ({
  id: surface.id, "aria-describedby": surface.about || null, "aria-invalid": surface.invalid ? "true" : null,
  "aria-required": surface.inInput && surface.required ? "true" : null,
  "aria-label": surface.id ? null : element.placeholder?.text ?? fallback ?? "Choose",
});

/** A choice tells the app at once, except in an input that does not ask for that. */
const tells = (block, surface) => !surface.inInput || block.dispatch_action;

const ELEMENTS = {
  image: (_block, element) => h("span", {}, picture(element, "side")),
  button: (block, element, surface) => h(element.url ? "a" : "button", {
    type: element.url ? null : "button", href: element.url, target: element.url && "_blank", rel: element.url && "noopener noreferrer",
    class: `button ${element.style ?? ""}`, "aria-label": element.accessibility_label,
    onclick: () => surface.act("press", block, element),
  }, textOf(element.text, surface.world)),
  overflow: (block, element, surface) => h("button", {
    type: "button", class: "button dots", "aria-label": "More actions", "aria-haspopup": "menu",
    onclick: (event) => openMenu(event.currentTarget, element.options, (picked) => (picked.url ? window.open(picked.url, "_blank", "noopener") : null, surface.act("overflow", block, element, picked.value))),
  }, "⋯"),
  static_select: (block, element, surface) => choices(block, element, surface, false),
  multi_static_select: (block, element, surface) => choices(block, element, surface, true),
  users_select: (block, element, surface) => choices(block, people(element, surface, "initial_user"), surface, false),
  multi_users_select: (block, element, surface) => choices(block, people(element, surface, "initial_users"), surface, true),
  channels_select: (block, element, surface) => choices(block, rooms(element, surface, "initial_channel"), surface, false),
  conversations_select: (block, element, surface) => choices(block, rooms(element, surface, "initial_conversation"), surface, false),
  multi_channels_select: (block, element, surface) => choices(block, rooms(element, surface, "initial_channels"), surface, true),
  multi_conversations_select: (block, element, surface) => choices(block, rooms(element, surface, "initial_conversations"), surface, true),
  radio_buttons: (block, element, surface) => boxes(block, element, surface, "radio"),
  checkboxes: (block, element, surface) => boxes(block, element, surface, "checkbox"),
  datepicker: (block, element, surface) => line(block, element, surface, "date", element.initial_date),
  timepicker: (block, element, surface) => line(block, element, surface, "time", element.initial_time),
  datetimepicker: (block, element, surface) => line(block, element, surface, "datetime-local", local(element.initial_date_time)),
  plain_text_input: (block, element, surface) => line(block, element, surface, element.multiline ? "multiline" : "text", element.initial_value),
  email_text_input: (block, element, surface) => line(block, element, surface, "email", element.initial_value),
  url_text_input: (block, element, surface) => line(block, element, surface, "url", element.initial_value),
  number_input: (block, element, surface) => line(block, element, surface, "number", element.initial_value),
};

function line(block, element, surface, type, initial) {
  const tag = type === "multiline" ? "textarea" : "input";
  const secret = /secret/i.test(`${element.action_id} ${block.block_id}`);
  const node = h(tag, {
    ...naming(element, surface, type), class: "field", placeholder: element.placeholder?.text, maxlength: element.max_length, minlength: element.min_length,
    type: tag === "input" ? type : null, rows: tag === "textarea" ? 4 : null, min: element.min_value, max: element.max_value,
    step: type === "number" ? (element.is_decimal_allowed ? "any" : "1") : null, autocomplete: "off", spellcheck: secret ? "false" : null,
    "data-focus": element.focus_on_load ? "1" : null,
    onchange: tells(block, surface) ? (event) => surface.act("select", block, element, read(event.target)) : null,
  });
  node.value = initial ?? "";
  return node;
}

function choices(block, element, surface, several) {
  const begin = new Set([element.initial_option?.value, ...(element.initial_options ?? []).map((one) => one.value)]);
  const draw = (one) => h("option", { value: one.value, selected: begin.has(one.value) }, one.description ? `${one.text.text} · ${one.description.text}` : one.text.text);
  const groups = element.option_groups?.map((group) => h("optgroup", { label: group.label.text }, group.options.map(draw)));
  return h("select", {
    ...naming(element, surface), class: "field", multiple: several, "data-focus": element.focus_on_load ? "1" : null,
    onchange: tells(block, surface) ? (event) => surface.act("select", block, element, read(event.target)) : null,
  }, several ? null : h("option", { value: "" }, element.placeholder?.text ?? "Choose…"), groups ?? element.options.map(draw));
}

function named(element, offered, initial) {
  const options = offered.map(([value, text]) => ({ value, text: { text } }));
  const begin = [element[initial] ?? []].flat();
  return { ...element, options, initial_options: options.filter((one) => begin.includes(one.value)) };
}

const people = (element, surface, initial) => named(element, surface.world.people(), initial);
const rooms = (element, surface, initial) => named(element, surface.world.rooms(), initial);

function boxes(block, element, surface, type) {
  const begin = new Set([element.initial_option?.value, ...(element.initial_options ?? []).map((one) => one.value)]);
  const group = `${surface.where}-${block.block_id}-${element.action_id}`;
  return h("div", { class: "boxes", role: surface.inInput ? null : "group", "aria-label": surface.inInput ? null : "Choose" }, element.options.map((one) => h("label", { class: "box" },
    h("input", {
      type, name: group, value: one.value, checked: begin.has(one.value), "aria-describedby": surface.about || null,
      onchange: tells(block, surface) ? (event) => surface.act("select", block, element, read(event.target.closest("[data-kind]"))) : null,
    }),
    h("span", {}, textOf(one.text, surface.world), one.description && h("span", { class: "hint" }, textOf(one.description, surface.world))))));
}

/** What an element says now, as the simulator's people say it. */
export function read(node) {
  const kind = node.dataset.kind;
  if (kind === "checkboxes") return [...node.querySelectorAll("input:checked")].map((one) => one.value);
  if (kind === "radio_buttons") return node.querySelector("input:checked")?.value ?? null;
  if (kind.startsWith("multi_")) return [...node.selectedOptions].map((one) => one.value);
  if (kind === "datetimepicker") return node.value ? Math.floor(new Date(node.value).getTime() / 1000) : null;
  return node.value === "" ? null : node.value;
}

/** What all inputs in `root` say now, by block. */
export function readAll(root) {
  return Object.fromEntries([...root.querySelectorAll(".input [data-kind]")].map((node) => [node.dataset.block, read(node)]));
}

function local(unix) {
  if (!unix) return "";
  const date = new Date(unix * 1000 - new Date(unix * 1000).getTimezoneOffset() * 60000);
  return date.toISOString().slice(0, 16);
}

/** A menu beside a button. It stands outside of what is drawn again, so that no edit closes it. */
export function openMenu(button, options, pick) {
  document.querySelector(".menu")?.remove();
  const close = () => {
    menu.remove();
    document.removeEventListener("pointerdown", outside, true);
  };
  const outside = (event) => menu.contains(event.target) || close();
  const items = options.map((one) => h("button", { type: "button", role: "menuitem", onclick: () => { close(); button.focus(); pick(one); } },
    one.text.text, one.description && h("span", { class: "hint" }, one.description.text)));
  const menu = h("div", { class: "menu", role: "menu", onkeydown: (event) => {
    const at = items.indexOf(document.activeElement);
    if (event.key === "Escape" || event.key === "Tab") { close(); button.focus(); event.preventDefault(); event.stopPropagation(); }
    if (event.key === "ArrowDown") { items[(at + 1) % items.length].focus(); event.preventDefault(); }
    if (event.key === "ArrowUp") { items[(at + items.length - 1) % items.length].focus(); event.preventDefault(); }
  } }, items);
  (button.closest("dialog, main, aside") ?? document.body).append(menu);
  const box = button.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(box.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${box.bottom + menu.offsetHeight + 8 > innerHeight ? Math.max(8, box.top - menu.offsetHeight - 4) : box.bottom + 4}px`;
  document.addEventListener("pointerdown", outside, true);
  items[0].focus();
}
