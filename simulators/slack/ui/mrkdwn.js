// Slack's mrkdwn as elements.

import { h, svg } from "/dom.js";

const SHAPES = {
  white_check_mark: ["#2eb67d", "M4.5 8.5l2.5 2.5 4.5-5.5"], heavy_check_mark: ["#2eb67d", "M4.5 8.5l2.5 2.5 4.5-5.5"],
  x: ["#d33a51", "M5.5 5.5l5 5m0-5l-5 5"], no_entry: ["#d33a51", "M4.5 8h7"], warning: ["#e0a800", "M8 5.8v4m0 2v.3"],
  large_green_circle: ["#2eb67d", ""], large_yellow_circle: ["#e0a800", ""], red_circle: ["#d33a51", ""], white_circle: ["#9aa0a6", ""],
  large_blue_circle: ["#2d7fd3", ""], black_circle: ["#555", ""], information_source: ["#2d7fd3", "M8 7.2v4.3m0-7v.3"],
  hourglass_flowing_sand: ["#8a63d2", "M8 4.5V8l2.5 1.5"], hourglass: ["#8a63d2", "M8 4.5V8l2.5 1.5"], clock: ["#8a63d2", "M8 4.5V8l2.5 1.5"],
  double_vertical_bar: ["#6b7280", "M6.5 5v6m3-6v6"], arrows_counterclockwise: ["#2d7fd3", "M11 8a3 3 0 1 1-1-2.2"],
};
const CHARS = {
  rocket: "🚀", tada: "🎉", lock: "🔒", unlock: "🔓", key: "🔑", wave: "👋", eyes: "👀", moneybag: "💰", calendar: "📅", memo: "📝", bulb: "💡",
  wrench: "🔧", gear: "⚙", zzz: "💤", movie_camera: "🎥", bust_in_silhouette: "👤", busts_in_silhouette: "👥", arrow_right: "→", "+1": "👍",
  chart_with_downwards_trend: "📉", shield: "🛡", stopwatch: "⏱", rotating_light: "🚨", electric_plug: "🔌", floppy_disk: "💾", sunrise: "🌅",
};
const BY_CHAR = { "✅": "white_check_mark", "❌": "x", "⚠️": "warning", "⏳": "hourglass_flowing_sand", "🟢": "large_green_circle", "🟡": "large_yellow_circle", "🔴": "red_circle", "⛔": "no_entry", "🔵": "large_blue_circle", "⚪": "white_circle", "⚫": "black_circle" };

function emoji(name) {
  if (name in SHAPES) {
    const [colour, path] = SHAPES[name];
    const drawn = svg("svg", { viewBox: "0 0 16 16", class: "emoji", role: "img", "aria-label": name.replaceAll("_", " ") },
      name === "warning" ? svg("path", { d: "M8 1.2 15.4 14.6H.6Z", fill: colour, stroke: colour, "stroke-width": 1, "stroke-linejoin": "round" }) : name === "white_circle" ? svg("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: colour, "stroke-width": 2 }) : svg("circle", { cx: 8, cy: 8, r: 7, fill: colour }));
    if (path) drawn.append(svg("path", { d: path, fill: "none", stroke: name === "warning" ? "#1d1c1d" : "#fff", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round" }));
    return drawn;
  }
  return CHARS[name] ? h("span", { role: "img", "aria-label": name.replaceAll("_", " ") }, CHARS[name]) : h("span", { class: "code-name" }, `:${name}:`);
}

const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const INNER = (mark) => `(?<![\\w${mark}])\\${mark}([^\\s${mark}](?:[^${mark}\\n]*[^\\s${mark}])?)\\${mark}(?![\\w${mark}])`;
const TOKENS = new RegExp(["`([^`\\n]+)`", "<([^<>\\n]+)>", INNER("*"), INNER("_"), INNER("~"), ":([a-z0-9_+-]+):", `(${Object.keys(BY_CHAR).join("|")})`, "(\\n)"].join("|"), "g");

/** The mrkdwn `text` as elements; `world` knows names, the reader's time zone and what time it is. */
export function mrkdwn(text, world) {
  return text.split(/```\n?([\s\S]*?)\n?```/).map((part, place) => (place % 2 ? h("pre", {}, plain(part)) : lines(part, world)));
}

/** A text object of Block Kit. */
export function textOf(object, world) {
  if (!object) return null;
  return object.type === "mrkdwn" ? mrkdwn(object.text, world) : emojiOnly(object.text);
}

function emojiOnly(text) {
  const marked = text.replaceAll(new RegExp(Object.keys(BY_CHAR).join("|"), "g"), (char) => `:${BY_CHAR[char]}:`);
  return marked.split(/:([a-z][a-z0-9_+-]*|[+-]1):/).map((part, place) => (place % 2 ? emoji(part) : part));
}

function lines(text, world) {
  const out = [];
  let run = [];
  let kind = "";
  const flush = () => {
    if (!run.length) return;
    if (kind === "quote") out.push(h("blockquote", {}, inline(run.join("\n"), world)));
    else if (kind === "list") out.push(h("ul", {}, run.map((line) => h("li", {}, inline(line, world)))));
    else out.push(...inline(run.join("\n"), world));
    run = [];
  };
  for (const line of text.replace(/^\n|\n$/g, (end) => (text.trim() ? "" : end)).split("\n")) {
    const quoted = /^(?:&gt;|>) ?(.*)$/.exec(line);
    const listed = /^\s*[•-] (.+)$/.exec(line);
    const now = quoted ? "quote" : listed ? "list" : "text";
    if (now !== kind) flush();
    kind = now;
    run.push(quoted ? quoted[1] : listed ? listed[1] : line);
  }
  flush();
  return out;
}

function inline(text, world) {
  const out = [];
  let end = 0;
  for (const found of text.matchAll(TOKENS)) {
    if (found.index > end) out.push(plain(text.slice(end, found.index)));
    end = found.index + found[0].length;
    const [, code, entity, bold, italic, struck, name, char, broken] = found;
    if (code) out.push(h("code", { class: code.length < 25 ? "short" : null }, plain(code)));
    else if (entity) out.push(reference(entity, world));
    else if (bold) out.push(h("strong", {}, inline(bold, world)));
    else if (italic) out.push(h("em", {}, inline(italic, world)));
    else if (struck) out.push(h("s", {}, inline(struck, world)));
    else if (name) out.push(/^[\d-]/.test(name) ? found[0] : emoji(name));
    else if (char) out.push(emoji(BY_CHAR[char]));
    else if (broken) out.push(h("br"));
  }
  if (end < text.length) out.push(plain(text.slice(end)));
  return out;
}

function reference(entity, world) {
  const [target, label] = entity.split(/\|(.*)/s);
  if (target.startsWith("@")) return mention(`@${world.name(target.slice(1)) ?? label ?? target.slice(1)}`, target.slice(1) === world.me);
  if (target.startsWith("#")) return mention(`#${world.channel(target.slice(1)) ?? label ?? target.slice(1)}`, false);
  if (target.startsWith("!subteam^")) return mention(`@${world.group(target.slice(9)) ?? label ?? "group"}`, false);
  if (target.startsWith("!date^")) return dated(target, label, world);
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`, true);
  if (/^(https?:|mailto:)/.test(target)) return h("a", { href: plain(target), target: "_blank", rel: "noopener noreferrer" }, plain(label ?? target));
  return plain(`<${entity}>`);
}

function mention(text, own) {
  return h("span", { class: own ? "mention own" : "mention" }, text);
}

function dated(target, label, world) {
  const [, unix, format, link] = target.split("^");
  const moment = Number(unix);
  if (!Number.isFinite(moment) || !format) return label ?? "";
  const text = format.replace(/\{(\w+)\}/g, (whole, token) => when(token, moment, world) ?? whole);
  const node = h("time", { datetime: new Date(moment * 1000).toISOString(), title: label ?? "" }, text);
  return link ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, node) : node;
}

/** A moment in the reader's own time zone, in one of Slack's forms. */
export function when(token, unix, world) {
  const date = new Date(unix * 1000);
  const say = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: world.tz, ...options }).format(date);
  const day = (moment) => new Intl.DateTimeFormat("en-CA", { timeZone: world.tz }).format(new Date(moment * 1000));
  const pretty = (other) => (day(unix) === day(world.now) ? "today" : day(unix) === day(world.now + 86400) ? "tomorrow" : day(unix) === day(world.now - 86400) ? "yesterday" : other);
  const long = { day: "numeric", month: "long", year: "numeric" };
  const short = { day: "numeric", month: "short", year: "numeric" };
  switch (token) {
    case "time": return say({ hour: "2-digit", minute: "2-digit" });
    case "time_secs": return say({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
    case "date_num": return day(unix);
    case "date": return say(long);
    case "date_short": return say(short);
    case "date_long": return say({ weekday: "long", ...long });
    case "date_pretty": return pretty(say(long));
    case "date_short_pretty": return pretty(say(short));
    case "date_long_pretty": return pretty(say({ weekday: "long", ...long }));
    case "ago": return ago(world.now - unix);
    default: return null;
  }
}

function ago(seconds) {
  const size = Math.abs(seconds);
  const [number, unit] = size < 90 ? [Math.round(size), "second"] : size < 5400 ? [Math.round(size / 60), "minute"] : size < 129600 ? [Math.round(size / 3600), "hour"] : [Math.round(size / 86400), "day"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(seconds > 0 ? -number : number, unit);
}
