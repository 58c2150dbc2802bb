// Retry and cancel for many jobs: the selected jobs, or all jobs of the filter. A dry run shows the numbers first.

import * as api from "./api.js";
import { button, el, plain, replace, setText } from "./dom.js";
import { bodyOf } from "./filters.js";
import { count, plural } from "./format.js";
import { dialog, showProblem, toast } from "./notice.js";
import { statusLabel } from "./terms.js";

const VERBS = {
  retry: { name: "Retry", done: "will be retried", past: "retried", kind: "primary" },
  cancel: { name: "Cancel", done: "will be cancelled", past: "cancelled", kind: "danger" },
};

const skippedOf = (answer) => Object.entries(answer?.skipped ?? {}).filter(([, number]) => number > 0);

function numbers(verb, answer) {
  const items = [
    `${plural(answer.changed ?? 0, "job")} ${verb.done}${answer.more ? ", and further jobs after these" : ""}.`,
  ];
  if (answer.requested) items.push(`For ${plural(answer.requested, "running job")}, the worker will be asked to stop.`);
  for (const [status, number] of skippedOf(answer))
    items.push(`${plural(number, "job")} skipped: ${statusLabel(status).toLowerCase()}.`);
  return el(
    "ul",
    { class: "numbers" },
    items.map((item) => el("li", null, plain(item))),
  );
}

// Performs the change in parts of 1,000 jobs until no more remain. Returns the totals.
async function repeat(action, target, signal, onprogress) {
  const total = { changed: 0, requested: 0 };
  for (;;) {
    const answer = await api.post(["jobs", action], { ...target, dry_run: false }, { signal });
    total.changed += answer?.changed ?? 0;
    total.requested += answer?.requested ?? 0;
    onprogress(total);
    // A part without a change would repeat forever.
    if (!answer?.more || !((answer.changed ?? 0) + (answer.requested ?? 0))) return total;
  }
}

async function run(action, target, what, done) {
  const verb = VERBS[action];
  const stop = new AbortController();
  const finished = await dialog(`${verb.name} ${what}`, (close) => {
    const text = el("div", { role: "status" }, el("p", null, "Counting the jobs…"));
    const start = button(verb.name, perform, { kind: verb.kind, disabled: true });
    const leave = button("Close", () => close(null), { autofocus: true });
    async function preview() {
      try {
        const answer = await api.post(["jobs", action], { ...target, dry_run: true }, { signal: stop.signal });
        const some = (answer?.changed ?? 0) + (answer?.requested ?? 0) > 0;
        replace(
          text,
          numbers(verb, answer ?? {}),
          action === "cancel" && some && el("p", { class: "hint" }, "A cancelled job can be retried later."),
        );
        start.disabled = !some;
        if (some)
          setText(
            start.lastChild,
            answer.more
              ? `${verb.name} all`
              : `${verb.name} ${plural((answer.changed ?? 0) + (answer.requested ?? 0), "job")}`,
          );
        if (some) start.focus();
      } catch (error) {
        if (!stop.signal.aborted) replace(text, el("p", { class: "error-text" }, plain(error.message)));
      }
    }
    async function perform() {
      start.disabled = true;
      setText(leave.lastChild, "Stop");
      const progress = el("p", null, "Started…");
      replace(text, progress);
      try {
        close(
          await repeat(action, target, stop.signal, (total) =>
            setText(progress, `${plural(total.changed + total.requested, "job")} so far…`),
          ),
        );
      } catch (error) {
        if (stop.signal.aborted) return;
        setText(leave.lastChild, "Close");
        replace(
          text,
          progress,
          el("p", { class: "error-text" }, plain(error.message)),
          el("p", null, "Repeat the action for the remaining jobs."),
        );
      }
    }
    preview();
    return el("div", null, text, el("div", { class: "actions end" }, leave, start));
  });
  stop.abort();
  if (finished) {
    const parts = [`${plural(finished.changed, "job")} ${verb.past}`];
    if (finished.requested) parts.push(`stop requested for ${plural(finished.requested, "job")}`);
    toast(`${parts.join(", ")}.`);
  }
  done();
}

// Creates the bar of bulk actions.
export function bulkBar({ filter, selected, signal, done }) {
  const label = el("span", { class: "bulk-label" });
  const act = async (action) => {
    const ids = [...selected];
    try {
      await run(
        action,
        ids.length ? { ids } : { filter: bodyOf(filter()) },
        ids.length
          ? plural(ids.length, "selected job")
          : Object.keys(filter()).length
            ? "all jobs of the filter"
            : "all jobs",
        () => signal.aborted || done(),
      );
    } catch (error) {
      showProblem(error);
    }
  };
  const clear = button("Clear selection", () => done(), { kind: "quiet" });
  const node = el(
    "div",
    { class: "bulk", role: "group", "aria-label": "Actions for many jobs" },
    label,
    button("Retry…", () => act("retry"), { image: "retry" }),
    button("Cancel…", () => act("cancel"), { image: "cancelled" }),
    clear,
  );
  return {
    node,
    update(shown) {
      const number = selected.size;
      node.classList.toggle("has-selection", number > 0);
      node.hidden = shown === 0;
      clear.hidden = number === 0;
      setText(
        label,
        number ? `${count(number)} selected` : Object.keys(filter()).length ? "All jobs of the filter" : "All jobs",
      );
    },
  };
}
