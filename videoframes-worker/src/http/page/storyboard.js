// The storyboard: a scrubber over the tiles that the WebVTT file names.

import * as api from "./api.js";
import { el, replace, set, setText } from "./dom.js";
import { position } from "./format.js";
import { failurePanel } from "./notice.js";

const STRIP = 24;
const MAX_CUES = 100000;

const seconds = (text) => text.split(":").reduce((sum, part) => sum * 60 + Number.parseFloat(part), 0);

// Parses the cues of a storyboard; ignores cues that name no tile.
export function parseCues(text) {
  const cues = [];
  const lines = text.split(/\r?\n/);
  for (let index = 0; index + 1 < lines.length && cues.length < MAX_CUES; index += 1) {
    const times = /^\s*([\d:.]+)\s+-->\s+([\d:.]+)/.exec(lines[index]);
    const tile = times && /^([^#]+)#xywh=(?:pixel:)?(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})\s*$/.exec(lines[index + 1]);
    if (!tile) continue;
    const [x, y, width, height] = tile.slice(2).map(Number);
    if (width > 0 && height > 0)
      cues.push({ start: seconds(times[1]), end: seconds(times[2]), file: tile[1], x, y, width, height });
  }
  return cues;
}

// Width that a magnified tile may have, which fits a phone.
const LARGE_PX = 280;

// Shows a tile in an element.
function draw(node, id, cue) {
  node.style.width = `${cue.width}px`;
  node.style.aspectRatio = `${cue.width} / ${cue.height}`;
  node.style.backgroundImage = `url("${api.address(["jobs", id, "outputs", "storyboard", cue.file], { stream: "true" })}")`;
  node.style.backgroundPosition = `${-cue.x}px ${-cue.y}px`;
}

function scrubber(id, cues) {
  const large = el("div", { class: "tile-image large" });
  const time = el("output", { class: "muted" });
  const range = el("input", {
    type: "range",
    min: 0,
    max: cues.length - 1,
    step: 1,
    "aria-label": "Position in the storyboard",
    oninput: () => show(Number(range.value)),
  });
  const strip = el("ul", { class: "strip" });
  function show(index) {
    const cue = cues[index];
    set(range, "value", String(index));
    set(range, "aria-valuetext", `${position(cue.start)} to ${position(cue.end)}`);
    draw(large, id, cue);
    large.style.zoom = String(Math.max(1, LARGE_PX / cue.width));
    setText(time, `${position(cue.start)} – ${position(cue.end)}`);
  }
  const step = Math.max(1, cues.length / STRIP);
  for (let at = 0; at < cues.length; at += step) {
    const index = Math.floor(at);
    const tile = el("button", {
      type: "button",
      class: "tile-image",
      "aria-label": `Tile at ${position(cues[index].start)}`,
      onclick: () => show(index),
    });
    draw(tile, id, cues[index]);
    strip.append(el("li", null, tile));
  }
  show(0);
  return el("div", { class: "scrubber" }, large, el("div", { class: "scrubber-line" }, range, time), strip);
}

export function storyboard(id, signal) {
  const box = el("div", null, el("p", { class: "muted" }, "Loading…"));
  async function load() {
    try {
      const cues = parseCues(
        await api.getText(["jobs", id, "outputs", "storyboard"], { query: { stream: "true" }, signal }),
      );
      replace(box, cues.length ? scrubber(id, cues) : el("p", { class: "muted" }, "The storyboard has no tiles."));
    } catch (error) {
      if (!signal.aborted && error.status !== 401) replace(box, failurePanel(error, load));
    }
  }
  load();
  return box;
}
