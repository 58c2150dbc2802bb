// The dead-letter messages: messages without a job. Reading hides a message from other readers for a
// moment, so the list is loaded only on request.

import * as api from "./api.js";
import { button, el, icon, outside, plain, plainLines, replace, setText, table } from "./dom.js";
import { absolute, ago, count, plural } from "./format.js";
import { busy, confirm, failurePanel, toast } from "./notice.js";

const REASONS = {
  malformed: "The message is not valid JSON, or not valid against docs/job-message.schema.json. Notify the client.",
  idempotency_conflict: "The idempotency key belongs to another request. A redrive would fail with the same reason.",
  redrive: "The message was received too often. Find and fix the cause, then redrive the message.",
};
const MAX_BODY = 100000;

const meaningOf = (reason) => (typeof reason === "string" && Object.hasOwn(REASONS, reason) ? REASONS[reason] : "");

// Returns the body with indentation if it is JSON.
function readable(body) {
  const text = String(body ?? "");
  try {
    return text.length < MAX_BODY ? JSON.stringify(JSON.parse(text), null, 2) : text.slice(0, MAX_BODY);
  } catch {
    return text.slice(0, MAX_BODY);
  }
}

function row(message, selected, onselect) {
  const name = `message ${plain(message.id)}`;
  const box = el("input", {
    type: "checkbox",
    "aria-label": `Select ${name}`,
    onchange: () => {
      selected[box.checked ? "add" : "delete"](message.id);
      onselect();
    },
  });
  const attributes =
    message.attributes && Object.keys(message.attributes).length ? JSON.stringify(message.attributes, null, 2) : null;
  const text = String(message.body ?? "");
  const pre = (label, value) => el("pre", { tabindex: "0", "aria-label": label, dir: "ltr" }, plainLines(value));
  return {
    box,
    node: el(
      "tr",
      { role: "row" },
      el("td", { role: "cell", class: "c-select" }, box),
      el(
        "td",
        { role: "cell", class: "c-reason" },
        el(
          "span",
          { class: "badge warn", title: meaningOf(message.reason) },
          icon("warning"),
          outside(message.reason ?? "unknown"),
        ),
      ),
      el("td", { role: "cell", class: "number" }, count(message.receive_count)),
      el("td", { role: "cell" }, el("time", { title: absolute(message.sent_at) }, ago(message.sent_at))),
      el(
        "td",
        { role: "cell", class: "c-body" },
        el("p", { class: "mono muted dead-id" }, outside(message.id)),
        el(
          "details",
          null,
          el("summary", { class: "mono" }, outside(text.slice(0, 120) || "empty body")),
          meaningOf(message.reason) && el("p", { class: "explanation" }, meaningOf(message.reason)),
          pre("Body", readable(message.body)),
          text.length > MAX_BODY &&
            el(
              "p",
              { class: "hint" },
              `The body has ${count(text.length)} characters; the page shows ${count(MAX_BODY)}.`,
            ),
          attributes && pre("Attributes", attributes),
        ),
      ),
    ),
  };
}

export function deadLetters({ signal }) {
  const selected = new Set();
  let rows = [];
  const summary = el("p", { class: "muted summary", role: "status" }, "Loading…");
  const all = el("input", {
    type: "checkbox",
    "aria-label": "Select all shown messages",
    onchange: () => {
      for (const { box } of rows) if (box.checked !== all.checked) box.click();
    },
  });
  const { node: frame, body } = table(
    "Dead-letter messages",
    [
      el("th", { scope: "col", role: "columnheader", class: "c-select" }, all),
      "Reason",
      el("th", { scope: "col", role: "columnheader", class: "number" }, "Received"),
      "Sent",
      "Message",
    ],
    { class: "plain dead" },
  );
  const content = el("div", { class: "panel flush" });
  const redrive = button(
    "Redrive…",
    async () => {
      const ids = [...selected];
      if (
        !(await confirm(
          `Redrive ${plural(ids.length, "message")}`,
          "The messages move back to the input queue, and workers receive them again. " +
            "A message with an unfixed cause returns.",
          "Redrive",
        ))
      )
        return;
      const answer = await busy(redrive, () => api.post(["dead-letters", "redrive"], { ids }, { signal }), "Redrive");
      if (!answer) return;
      const missing = answer.missing?.length ?? 0;
      toast(
        `${plural(answer.redriven?.length ?? 0, "message")} redriven.` +
          (missing ? ` ${plural(missing, "message")} no longer in the queue.` : ""),
      );
      load();
    },
    { image: "retry", disabled: true },
  );
  const refresh = button("Refresh", () => load());

  function drawSelection() {
    redrive.disabled = selected.size === 0;
    setText(redrive.lastChild, selected.size ? `Redrive ${count(selected.size)}…` : "Redrive…");
    all.checked = rows.length > 0 && selected.size === rows.length;
    all.indeterminate = selected.size > 0 && selected.size < rows.length;
  }

  async function load() {
    refresh.disabled = true;
    try {
      const answer = await api.get(["dead-letters"], { signal });
      const messages = Array.isArray(answer?.messages) ? answer.messages : [];
      const ids = new Set(messages.map((each) => each.id));
      for (const id of selected) if (!ids.has(id)) selected.delete(id);
      rows = messages.map((message) => row(message, selected, drawSelection));
      rows.forEach(({ box }, index) => (box.checked = selected.has(messages[index].id)));
      replace(
        body,
        rows.map((each) => each.node),
      );
      replace(content, messages.length ? frame : el("p", { class: "empty" }, "There are no dead-letter messages."));
      setText(
        summary,
        typeof answer?.depth === "number" && answer.depth > messages.length
          ? `${count(messages.length)} of ${plural(answer.depth, "message")} shown`
          : plural(messages.length, "message"),
      );
      drawSelection();
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      setText(summary, "");
      replace(content, failurePanel(error, load));
    } finally {
      refresh.disabled = false;
    }
  }
  load();
  return {
    node: el(
      "div",
      { class: "view" },
      el(
        "div",
        { class: "head" },
        el("h1", { tabindex: "-1" }, "Dead-letter messages"),
        summary,
        el("span", { class: "grow" }),
        refresh,
        redrive,
      ),
      content,
    ),
    update() {},
  };
}
