// The frames of an archive: pages of thumbnails, and a larger view.

import * as api from "./api.js";
import { button, el, icon, plain, replace, set, setText } from "./dom.js";
import { bytes, count, plural, position } from "./format.js";
import { dialog, failurePanel } from "./notice.js";

const PAGE = 48;
// The manifest of more frames has many megabytes and is loaded only on request.
const MAX_AUTOMATIC = 20000;
const SHOWN = /\.(jpe?g|png|webp|avif|gif)$/i;

const size = (frame) => (frame.width > 0 && frame.height > 0 ? `${count(frame.width)} × ${count(frame.height)}` : null);

function thumbnail(id, frame, number, open) {
  const known = frame.width > 0 && frame.height > 0;
  const picture = SHOWN.test(frame.file)
    ? el("img", {
        src: api.address(["jobs", id, "frames", frame.file]),
        alt: "",
        loading: "lazy",
        decoding: "async",
        width: known ? frame.width : 160,
        height: known ? frame.height : 90,
      })
    : el("span", { class: "no-picture" }, plain(frame.file.split(".").pop()));
  return el(
    "li",
    null,
    el(
      "button",
      {
        type: "button",
        class: "thumb",
        onclick: open,
        "aria-label": `Frame ${number} at ${position(frame.timestamp_s)}`,
      },
      picture,
      el("span", { class: "thumb-time", "aria-hidden": "true" }, position(frame.timestamp_s)),
    ),
  );
}

// Opens the larger view, with previous and next.
function viewer(id, list, start, onclose) {
  let index = start;
  const image = el("img", { class: "large", alt: "" });
  const caption = el("p", { class: "viewer-caption", role: "status" });
  const previous = button("", () => move(-1), {
    kind: "quiet icon-only",
    image: "previous",
    "aria-label": "Previous frame",
  });
  const next = button("", () => move(1), { kind: "quiet icon-only", image: "next", "aria-label": "Next frame" });
  const download = el("a", { class: "button quiet", download: "" }, icon("download"), el("span", null, "Download"));
  function draw() {
    const frame = list[index];
    const url = api.address(["jobs", id, "frames", frame.file]);
    const shown = SHOWN.test(frame.file);
    image.hidden = !shown;
    if (shown) set(image, "src", url);
    set(image, "alt", `Frame ${index + 1} at ${position(frame.timestamp_s)}`);
    setText(
      caption,
      [
        `${count(index + 1)} of ${count(list.length)}`,
        position(frame.timestamp_s),
        plain(frame.file),
        size(frame),
        bytes(frame.bytes),
      ]
        .filter(Boolean)
        .join(" · "),
    );
    set(download, "href", url);
    previous.disabled = index === 0;
    next.disabled = index === list.length - 1;
  }
  function move(step) {
    index = Math.min(list.length - 1, Math.max(0, index + step));
    draw();
  }
  draw();
  dialog(
    "Frame",
    (close) =>
      el(
        "div",
        { class: "viewer-in" },
        el("div", { class: "viewer-picture" }, image),
        el(
          "div",
          { class: "viewer-bar" },
          previous,
          next,
          caption,
          el("span", { class: "grow" }),
          download,
          button("Close", () => close(), { autofocus: true }),
        ),
      ),
    {
      class: "viewer",
      onkeydown: (event) => {
        const step = {
          ArrowLeft: -1,
          ArrowRight: 1,
          PageUp: -10,
          PageDown: 10,
          Home: -Infinity,
          End: Infinity,
        }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        move(step);
      },
    },
  ).then(() => onclose(index));
}

export function frames(id, total, signal) {
  const status = el("span", { class: "muted", role: "status" });
  const grid = el("ul", { class: "thumbs" });
  const box = el("div");
  const previous = button("", () => show(page - 1, previous), {
    kind: "quiet icon-only",
    image: "previous",
    "aria-label": "Previous page of frames",
  });
  const next = button("", () => show(page + 1, next), {
    kind: "quiet icon-only",
    image: "next",
    "aria-label": "Next page of frames",
  });
  const pager = el("div", { class: "pager", hidden: true }, previous, next);
  const node = el(
    "section",
    { class: "panel", "aria-labelledby": "h-frames" },
    el(
      "div",
      { class: "panel-head" },
      el("h2", { id: "h-frames" }, "Frames"),
      status,
      el("span", { class: "grow" }),
      pager,
    ),
    box,
  );
  let list = [];
  let page = 0;

  function show(wanted, focused) {
    page = wanted;
    const from = page * PAGE;
    const part = list.slice(from, from + PAGE);
    replace(
      grid,
      part.map((frame, index) =>
        thumbnail(id, frame, from + index + 1, () =>
          viewer(id, list, from + index, (at) => {
            if (Math.floor(at / PAGE) !== page) show(Math.floor(at / PAGE));
            grid.children[at % PAGE]?.firstChild.focus();
          }),
        ),
      ),
    );
    setText(
      status,
      list.length > PAGE
        ? `${count(from + 1)} to ${count(from + part.length)} of ${count(list.length)}`
        : plural(list.length, "frame"),
    );
    pager.hidden = list.length <= PAGE;
    previous.disabled = page === 0;
    next.disabled = from + PAGE >= list.length;
    if (focused?.disabled) (focused === next ? previous : next).focus();
  }

  async function load() {
    replace(box, el("p", { class: "muted" }, "Loading the manifest…"));
    try {
      const manifest = await api.get(["jobs", id, "manifest"], { signal });
      list = Array.isArray(manifest?.frames)
        ? manifest.frames.filter((frame) => typeof frame?.file === "string" && frame.file)
        : [];
      if (list.length === 0) {
        replace(box, el("p", { class: "muted" }, "The archive has no pictures, only the manifest."));
        return;
      }
      replace(box, grid);
      show(0);
    } catch (error) {
      if (!signal.aborted && error.status !== 401) replace(box, failurePanel(error, load));
    }
  }

  if (total > MAX_AUTOMATIC)
    replace(
      box,
      el("p", { class: "muted" }, `The archive has ${count(total)} frames. `, button("Load the manifest", load)),
    );
  else load();
  return node;
}
