// The progress of a job: a bar, and a text for the same.

import { el, plain, set, setText } from "./dom.js";
import { bytes, count, percent, plural } from "./format.js";

const fraction = (job) =>
  job.frames_total > 0 ? Math.min(1, Math.max(0, (job.frames_done ?? 0) / job.frames_total)) : null;

// Returns a text such as "extract, 120 of 300".
export function progressText(job) {
  const parts = [];
  if (job.stage) parts.push(plain(job.stage));
  if (job.frames_total > 0) parts.push(`${count(job.frames_done ?? 0)} of ${count(job.frames_total)}`);
  else if (job.frames_done > 0) parts.push(plural(job.frames_done, "frame"));
  return parts.join(" · ");
}

export function resultText(job) {
  const result = job.result;
  if (!result) return "";
  return `${plural(result.frames, "frame")} · ${bytes(result.size)}${result.partial ? " · partial" : ""}`;
}

// Creates the bar. `update(job)` changes it in place.
export function progressBar(label, { withPercent = false } = {}) {
  const fill = el("span");
  const bar = el(
    "div",
    { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" },
    fill,
  );
  const text = el("span", { class: "progress-text" });
  const node = el("div", { class: "progress-box" }, bar, text);
  return {
    node,
    update(job) {
      const part = fraction(job);
      set(bar, "aria-valuenow", part === null ? null : Math.round(part * 100));
      set(bar, "aria-valuetext", part === null ? progressText(job) || "running" : null);
      bar.classList.toggle("unknown", part === null);
      fill.style.transform = part === null ? "" : `scaleX(${part})`;
      const words = progressText(job);
      setText(text, withPercent && part !== null ? `${percent(Math.floor(part * 100) / 100)} · ${words}` : words);
    },
  };
}
