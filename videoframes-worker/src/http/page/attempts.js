// The attempts of a job with their outcomes, errors and stages.

import { changed, el, outside, plain, replace, setText } from "./dom.js";
import { absolute, ago, duration, parse, since } from "./format.js";
import { meaning, outcomeBadge } from "./terms.js";

const MAX_ATTEMPTS = 100;
const STAGES = ["prepare", "extract", "compress", "commit"];

function seconds(attempt) {
  const start = parse(attempt.started_at);
  if (start === null) return null;
  const end = parse(attempt.ended_at);
  return end === null ? (attempt.outcome ? null : since(start)) : (end - start) / 1000;
}

// Creates the bar of the stages; the list below it has the same numbers as text.
function stageBar(stages) {
  const known = stages.filter((each) => typeof each?.duration_ms === "number");
  if (known.length === 0) return null;
  const total = known.reduce((sum, each) => sum + each.duration_ms, 0) || 1;
  const colour = (stage) => `s${STAGES.indexOf(stage) + 1}`;
  return el(
    "div",
    { class: "stages" },
    el(
      "div",
      { class: "stage-bar", "aria-hidden": "true" },
      known.map((each) =>
        el("i", {
          class: colour(each.stage),
          style: { "flex-grow": String(Math.max(each.duration_ms / total, 0.004)) },
        }),
      ),
    ),
    el(
      "ul",
      null,
      known.map((each) =>
        el(
          "li",
          null,
          el("i", { class: colour(each.stage), "aria-hidden": "true" }),
          outside(each.stage),
          " ",
          el("span", { class: "muted" }, duration(each.duration_ms / 1000)),
        ),
      ),
    ),
  );
}

function attemptItem(attempt, number, retried) {
  const took = el("span", { class: "muted" });
  const error = attempt.error;
  const node = el(
    "li",
    { class: "attempt" },
    el(
      "div",
      { class: "attempt-head" },
      el("h3", null, `Attempt ${number}`),
      outcomeBadge(attempt.outcome),
      retried && el("span", { class: "tag" }, "after a retry by an operator"),
      el("span", { class: "muted" }, outside(attempt.worker ?? "unknown worker", { class: "mono" })),
      el("time", { class: "muted", title: absolute(attempt.started_at) }, ago(attempt.started_at)),
      took,
    ),
    error &&
      el(
        "p",
        { class: "attempt-error", title: meaning(error.code) },
        outside(error.code, { class: "code" }),
        " ",
        outside(error.message),
      ),
    stageBar(Array.isArray(attempt.stages) ? attempt.stages : []),
  );
  return { node, tick: () => setText(took, duration(seconds(attempt))) };
}

export function attemptList() {
  const list = el("ol", { class: "attempts", reversed: true });
  const more = el("p", { class: "hint" });
  const node = el(
    "section",
    { class: "panel", "aria-labelledby": "h-attempts" },
    el("h2", { id: "h-attempts" }, "Attempts"),
    list,
    more,
  );
  let items = [];
  const draw = changed((history) => {
    items = history
      .map((attempt, index) =>
        attemptItem(attempt ?? {}, index + 1, index > 0 && attempt?.generation !== history[index - 1]?.generation),
      )
      .reverse()
      .slice(0, MAX_ATTEMPTS);
    replace(
      list,
      items.length ? items.map((item) => item.node) : el("li", { class: "empty" }, "No attempt has started."),
    );
    setText(
      more,
      history.length > MAX_ATTEMPTS
        ? `The page shows the last ${MAX_ATTEMPTS} of ${plain(history.length)} attempts.`
        : "",
    );
    tick();
  });
  const tick = () => items.forEach((item) => item.tick());
  return {
    node,
    tick,
    // Sorts by epoch, since the order of the server is not part of the contract.
    update: (history) => draw([...history].sort((a, b) => (a?.epoch ?? 0) - (b?.epoch ?? 0))),
  };
}
