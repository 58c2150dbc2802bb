// The results of a job: archive, composed outputs and renditions.

import * as api from "./api.js";
import { changed, el, icon, outside, plain, replace } from "./dom.js";
import { bytes, count, plural } from "./format.js";
import { frames } from "./frames.js";
import { storyboard } from "./storyboard.js";

function downloadLink(label, parts) {
  return el(
    "a",
    { class: "button quiet", href: api.address(parts), download: "" },
    icon("download"),
    el("span", null, label),
  );
}

function digest(value) {
  return (
    value && el("p", { class: "digest" }, el("span", { class: "muted" }, "SHA-256 "), outside(value, { class: "mono" }))
  );
}

function archive(id, result) {
  return el(
    "section",
    { class: "panel", "aria-labelledby": "h-archive" },
    el(
      "div",
      { class: "panel-head" },
      el("h2", { id: "h-archive" }, "Archive"),
      el("span", { class: "muted" }, `${plural(result.frames, "frame")} · ${bytes(result.size)}`),
      result.partial &&
        el(
          "span",
          { class: "tag warn", title: "The video is damaged: the archive has the frames that decode" },
          "partial",
        ),
      el("span", { class: "grow" }),
      downloadLink("Download", ["jobs", id, "result"]),
    ),
    digest(result.sha256),
  );
}

function rendition(id, item, number) {
  const parts = ["jobs", id, "renditions", number];
  const facts = [
    item.codec,
    item.width && item.height ? `${count(item.width)} × ${count(item.height)}` : null,
    item.size ? bytes(item.size) : null,
    item.frames ? plural(item.frames, "frame") : null,
    item.origin,
  ]
    .filter(Boolean)
    .map(plain)
    .join(" · ");
  const made = item.status === "made";
  return el(
    "li",
    { class: "rendition" },
    made &&
      el("video", {
        controls: true,
        preload: "metadata",
        src: api.address(parts, { stream: "true" }),
        playsinline: true,
        "aria-label": `Rendition ${number}`,
        ...(item.width && item.height ? { width: item.width, height: item.height } : {}),
      }),
    el(
      "div",
      { class: "panel-head" },
      el("h3", null, `Rendition ${number}`),
      el("span", { class: "muted" }, outside(facts)),
      !made && el("span", { class: "tag warn" }, outside(item.status ?? "missing")),
      item.partial && el("span", { class: "tag warn" }, "partial"),
      el("span", { class: "grow" }),
      made && downloadLink("Download", parts),
    ),
    item.message && el("p", { class: "attempt-error" }, outside(item.message)),
    digest(item.sha256),
  );
}

function renditions(id, items) {
  return el(
    "section",
    { class: "panel", "aria-labelledby": "h-renditions" },
    el("h2", { id: "h-renditions" }, "Renditions"),
    el(
      "ul",
      { class: "renditions" },
      items.map((item, index) => rendition(id, item ?? {}, index + 1)),
    ),
  );
}

const TITLES = { storyboard: "Storyboard", sheet: "Contact sheet", preview: "Preview" };

function output(id, item, signal) {
  const kind = String(item.kind ?? "output");
  const known = Object.hasOwn(TITLES, kind);
  const parts = ["jobs", id, "outputs", kind];
  const image = known && kind !== "storyboard" && String(item.media_type ?? "image/").startsWith("image/");
  return el(
    "section",
    { class: "panel" },
    el(
      "div",
      { class: "panel-head" },
      el("h2", null, known ? TITLES[kind] : outside(kind)),
      el("span", { class: "muted" }, [plural(item.frames, "frame"), bytes(item.size)].join(" · ")),
      item.partial && el("span", { class: "tag warn" }, "partial"),
      el("span", { class: "grow" }),
      known && downloadLink("Download", parts),
    ),
    image &&
      el("img", {
        class: kind === "sheet" ? "sheet" : "preview",
        src: api.address(parts, { stream: "true" }),
        alt: `${TITLES[kind]} of the video`,
        loading: "lazy",
      }),
    kind === "storyboard" && storyboard(id, signal),
  );
}

export function results({ id, signal }) {
  const node = el("div", { class: "stack" });
  const draw = changed((result) => {
    node.hidden = !result;
    if (!result) {
      replace(node);
      return;
    }
    const made = Array.isArray(result.renditions) ? result.renditions.slice(0, 16) : [];
    const outputs = Array.isArray(result.outputs) ? result.outputs.slice(0, 16) : [];
    replace(
      node,
      archive(id, result),
      result.frames > 0 && frames(id, result.frames, signal),
      made.length > 0 && renditions(id, made),
      outputs.map((item) => output(id, item ?? {}, signal)),
    );
  });
  return { node, update: (job) => draw(job.result ?? null) };
}
