// The facts of a job: source, times, options and what the client sent.

import { changed, el, outside, plain, plainLines, replace } from "./dom.js";
import { absolute, count, duration } from "./format.js";

const MAX_VALUES = 200;

/** Fields of a job that this part of the view shows. */
const SHOWN = [
  "source",
  "options",
  "client_metadata",
  "created_at",
  "begun_at",
  "finished_at",
  "next_attempt_at",
  "deadline_at",
  "time_limit_ms",
  "work_limit_ms",
  "kept_at",
  "tenant",
  "priority",
  "parked_at",
  "idempotency_key",
  "sequencer",
  "output_key",
  "lease_owner",
  "lease_epoch",
  "crash_count",
  "generation",
  "payload_hash",
];

// Flattens options such as {picture: {format: "jpg"}} to [["picture.format", "jpg"]].
export function flatten(value, prefix = "") {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object") return [[prefix, String(value)]];
  if (Array.isArray(value) && value.every((each) => typeof each !== "object"))
    return value.length ? [[prefix, value.join(", ")]] : [];
  return Object.entries(value).flatMap(([key, each]) => flatten(each, prefix ? `${prefix}.${key}` : key));
}

function list(entries) {
  return el(
    "dl",
    { class: "facts" },
    entries
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value, mono]) =>
        el(
          "div",
          null,
          el("dt", null, outside(name)),
          el("dd", { class: mono ? "mono" : null }, value instanceof Node ? value : outside(value)),
        ),
      ),
  );
}

const time = (value) => (value ? el("time", { datetime: plain(value) }, absolute(value)) : null);
const milliseconds = (value) => (typeof value === "number" ? duration(value / 1000) : null);

export function facts() {
  const node = el("aside", { class: "stack facts-side", "aria-label": "Facts of the job" });
  const section = (title, ...content) => el("section", { class: "panel" }, el("h2", null, title), content);
  const draw = changed((job) => {
    const source = typeof job.source === "object" && job.source ? job.source : { key: job.source };
    const options = flatten(job.options);
    const metadata = job.client_metadata;
    const open = node.querySelector("details")?.open ?? false;
    replace(
      node,
      section(
        "Source",
        list([
          ["Key", source.key, true],
          ["Bucket", source.bucket, true],
          ["Version", source.version, true],
          ["ETag", source.etag, true],
        ]),
      ),
      section(
        "Times",
        list([
          ["Created", time(job.created_at)],
          ["Started", time(job.begun_at)],
          ["Finished", time(job.finished_at)],
          ["Waits for the limit of its tenant since", time(job.parked_at)],
          ["Next attempt", time(job.next_attempt_at)],
          ["Deadline", time(job.deadline_at)],
          ["Time limit", milliseconds(job.time_limit_ms)],
          ["Work limit", milliseconds(job.work_limit_ms)],
          ["Kept since", time(job.kept_at)],
        ]),
      ),
      metadata !== null &&
        metadata !== undefined &&
        section(
          "Client metadata",
          el(
            "pre",
            { tabindex: "0", "aria-label": "Client metadata", dir: "ltr" },
            plainLines(typeof metadata === "string" ? metadata : JSON.stringify(metadata, null, 2)),
          ),
        ),
      section(
        "Request",
        list([
          ["Tenant", job.tenant, true],
          ["Priority", job.priority],
          ["Idempotency key", job.idempotency_key, true],
          ["Sequencer", job.sequencer, true],
          ["Output key", job.output_key, true],
          ["Lease owner", job.lease_owner, true],
          ["Lease epoch", job.lease_epoch ? count(job.lease_epoch) : null],
          ["Crashes", job.crash_count ? count(job.crash_count) : null],
          ["Retries by operators", job.generation ? count(job.generation) : null],
          ["Payload hash", job.payload_hash, true],
        ]),
        options.length > 0 &&
          el(
            "details",
            { open },
            el("summary", null, `Options (${count(options.length)})`),
            list(options.slice(0, MAX_VALUES).map(([name, value]) => [name, value, true])),
          ),
      ),
    );
  });
  return {
    node,
    // Progress changes every second and is not shown here: a selection of text must survive.
    update(job) {
      draw(Object.fromEntries(SHOWN.map((name) => [name, job[name]])));
    },
  };
}
