// The terms of jobs and workers with their meanings. Unknown terms of a newer server are shown as they are.

import { el, icon, outside, plain } from "./dom.js";

const STATUSES = {
  pending: ["Pending", "neutral", "waits for a worker"],
  processing: ["Processing", "active", "a worker processes the job"],
  retry_wait: ["Retry wait", "warn", "an attempt failed or was interrupted; the next attempt follows after a pause"],
  completed: ["Completed", "good", "has a result"],
  failed: ["Failed", "bad", "has an error and no result"],
  cancelled: ["Cancelled", "quiet", "was cancelled"],
};
export const STATUS_NAMES = Object.keys(STATUSES);
const ACTIVE = new Set(["pending", "processing", "retry_wait"]);

// Code: meaning, whether it is retried, cause (client or system).
const CODES = {
  INVALID_REQUEST: ["A value of the request is invalid, or a key is not allowed.", false, "client"],
  SOURCE_NOT_FOUND: ["The object does not exist.", false, "client"],
  SOURCE_REFUSED: [
    "The store refuses to read the object: access is denied, or the request is invalid.",
    true,
    "client",
  ],
  SOURCE_UNAVAILABLE: ["The object is temporarily unreadable.", true, "system"],
  INPUT_CHANGED: ["The object is not the requested version, or was replaced while it was read.", false, "client"],
  EMPTY_SOURCE: ["The object is empty.", false, "client"],
  NOT_A_VIDEO: ["The object is not a video in a supported format.", false, "client"],
  NO_VIDEO_STREAM: ["The object has audio, but no video.", false, "client"],
  DAMAGED_VIDEO: [
    "The video is damaged, ends too early, or no frame can be decoded. on_damage: partial keeps the frames that decode.",
    false,
    "client",
  ],
  SELECTION_OUT_OF_RANGE: ["The selected times are outside the video.", false, "client"],
  UNSUPPORTED: ["The ffmpeg of the worker lacks a component. vf doctor lists the components.", true, "system"],
  LIMIT_EXCEEDED: ["A limit of the request or of the worker was reached.", false, "client"],
  RENDITION_FAILED: ["A rendition that is not optional cannot be made from this video.", false, "client"],
  OUTPUT_EXISTS: ["Another object has the requested key.", false, "client"],
  OUTPUT_UNAVAILABLE: ["The archive temporarily cannot be written.", true, "system"],
  NO_SPACE: ["No space is left on the disk of the worker or in the store.", true, "system"],
  DECODER_FAILED: ["ffmpeg failed. The video may be the trigger.", true, "system"],
  DECODER_STALLED: ["ffmpeg made no progress. The disk may be slow, or the machine overloaded.", true, "system"],
  DEADLINE_EXCEEDED: ["The deadline of the job has passed: the job waited or ran for too long.", false, "system"],
  WORKER_CRASH_LOOP: [
    "The workers of the job crashed repeatedly. Check the memory of the workers before a retry.",
    false,
    "system",
  ],
  INTERNAL: ["A defect of the worker ended the attempt. Report it to the developers.", true, "system"],
  CANCELLED: ["The job was cancelled.", false, "none"],
  SUPERSEDED: ["A newer event of the same object superseded the job.", false, "none"],
};
export const CODE_NAMES = Object.keys(CODES);

const OUTCOMES = {
  completed: ["Completed", "good", "completed"],
  failed: ["Failed", "bad", "failed"],
  cancelled: ["Cancelled", "quiet", "cancelled"],
  retried: ["Failed, retried", "warn", "retry_wait"],
  deferred: ["Deferred by an outage, not counted", "warn", "retry_wait"],
  released: ["Released, not counted", "quiet", "pending"],
  lost: ["Lost: the worker crashed", "bad", "warning"],
};

const WORKER_STATES = {
  starting: ["Starting", "neutral", "pending", "has not connected yet"],
  ready: ["Ready", "good", "completed", "receives jobs"],
  not_ready: ["Not ready", "warn", "retry_wait", "is paused, or a dependency has an outage"],
  stopping: ["Stopping", "quiet", "cancelled", "starts no more jobs"],
  stopped: ["Stopped", "quiet", "cancelled", "has stopped"],
  lost: ["Lost", "bad", "warning", "has not reported, and has not stopped"],
};

const lookup = (terms, name) => (typeof name === "string" && Object.hasOwn(terms, name) ? terms[name] : null);

export const isActive = (job) => ACTIVE.has(job.status);
export const canRetry = (job) => job.status === "failed" || job.status === "cancelled";

export function statusLabel(status) {
  return lookup(STATUSES, status)?.[0] ?? (plain(status) || "Unknown");
}

// Creates the badge of a status: shape, text and colour.
export function statusBadge(status) {
  const term = lookup(STATUSES, status);
  return badge(statusLabel(status), term?.[1] ?? "neutral", term ? status : "unknown", term?.[2]);
}

export function outcomeBadge(outcome) {
  if (outcome === null || outcome === undefined) return badge("Running", "active", "processing");
  const term = lookup(OUTCOMES, outcome);
  return badge(term?.[0] ?? plain(outcome), term?.[1] ?? "neutral", term?.[2] ?? "unknown");
}

export function workerBadge(state) {
  const term = lookup(WORKER_STATES, state);
  return badge(term?.[0] ?? (plain(state) || "Unknown"), term?.[1] ?? "neutral", term?.[2] ?? "unknown", term?.[3]);
}

export function badge(label, tone, image, title) {
  return el("span", { class: `badge ${tone}`, title }, icon(image), el("bdi", null, label));
}

export function meaning(code) {
  return lookup(CODES, code)?.[0] ?? "This code is unknown to this page. The server may be newer.";
}

export function causeText(code) {
  const term = lookup(CODES, code);
  if (!term) return null;
  const cause = { client: "Caused by the request or the video.", system: "Caused by the system.", none: null }[term[2]];
  const retried = term[2] === "none" ? null : term[1] ? "Workers retry it automatically." : "Workers do not retry it.";
  return [cause, retried].filter(Boolean).join(" ") || null;
}

// Creates the explanation of an error code.
export function explanation(code) {
  const cause = causeText(code);
  return el(
    "p",
    { class: "explanation" },
    meaning(code),
    cause && ` ${cause}`,
    " See ",
    el("span", { class: "nowrap" }, "“Causes of failed jobs”"),
    " in ",
    el("code", null, "docs/runbook.md"),
    ".",
  );
}

// Returns the last part of a source key.
export function videoName(source) {
  const key = typeof source === "string" ? source : source?.key;
  if (typeof key !== "string" || !key) return "unnamed";
  return key.split("/").filter(Boolean).pop() ?? key;
}

// Returns the whole address of a source.
export function sourceText(source) {
  if (typeof source === "string") return source;
  const key = source?.key ?? "";
  return source?.bucket ? `s3://${source.bucket}/${key}` : key;
}

// Creates a link to a job, with the name of its video.
export function jobLink(id, source, attributes) {
  return el(
    "a",
    { href: `#/jobs/${encode(id)}`, title: plain(sourceText(source)), ...attributes },
    outside(videoName(source)),
  );
}

// Encodes a part of an address. Lone surrogates would make encodeURIComponent fail.
export function encode(part) {
  return encodeURIComponent(String(part).toWellFormed?.() ?? String(part));
}
