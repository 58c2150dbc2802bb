// One job: status and actions, live progress, error, attempts, facts and results.

import * as api from "./api.js";
import { attemptList } from "./attempts.js";
import { button, changed, el, icon, outside, plain, replace, set, setText } from "./dom.js";
import { facts } from "./facts.js";
import { absolute, ago, bytes, duration, jobSeconds } from "./format.js";
import { busy, confirm, failurePanel, toast } from "./notice.js";
import { poll, tick } from "./poll.js";
import { progressBar } from "./progress.js";
import { results } from "./results.js";
import { can } from "./session.js";
import { canRetry, explanation, isActive, statusBadge, statusLabel, videoName } from "./terms.js";

const POLL_MS = 2000;

export function job({ signal, id, setTitle }) {
  let current = null;
  let stream = null;
  let fallback = null;
  let seen = "";
  let version = 0;

  const title = el("h1", { tabindex: "-1" }, "Job");
  const status = el("span", { class: "status-line" });
  const times = el("span", { class: "muted" });
  const actions = el("div", { class: "actions" });
  const progress = progressBar("Progress of the job", { withPercent: true });
  const waiting = el("p", { class: "muted" });
  const live = el("section", { class: "panel live", "aria-label": "Progress", hidden: true }, progress.node, waiting);
  const error = el("section", { class: "panel error", "aria-labelledby": "h-error", hidden: true });
  const spoken = el("p", { class: "sr", role: "status" });
  const attempts = attemptList();
  const details = facts();
  const output = results({ id, signal });
  const content = el("div", { class: "stack" }, el("p", { class: "empty" }, "Loading…"));
  const layout = el(
    "div",
    { class: "columns" },
    el("div", { class: "stack" }, live, error, output.node, attempts.node),
    details.node,
  );
  const node = el(
    "div",
    { class: "view" },
    el(
      "nav",
      { class: "crumbs", "aria-label": "Breadcrumb" },
      el("a", { href: "#/jobs" }, "Jobs"),
      el("span", { "aria-hidden": "true" }, "/"),
      outside(id, { class: "mono" }),
      button("", copy, {
        kind: "quiet icon-only",
        image: "copy",
        "aria-label": "Copy the ID of the job",
        title: "Copy the ID",
      }),
    ),
    el(
      "div",
      { class: "job-head" },
      el("div", { class: "job-title" }, title, el("p", { class: "job-status" }, status, times)),
      actions,
    ),
    spoken,
    content,
  );

  async function copy() {
    try {
      await navigator.clipboard.writeText(id);
      toast("The ID is copied.");
    } catch {
      toast("The browser refused access to the clipboard.", "bad");
    }
  }

  const act = (name, label, { ask = null, ...style } = {}) => {
    const node_ = button(
      label,
      async () => {
        if (ask && !(await confirm(label, ask, label, "danger"))) return;
        const changedJob = await busy(node_, () => api.post(["jobs", id, name], undefined, { signal }), label);
        if (changedJob) accept(changedJob);
        load().catch(() => {});
        if (!stream && !signal.aborted) follow();
      },
      style,
    );
    return node_;
  };
  const drawActions = changed(([state, requested, kept, hasResult]) => {
    const focused = actions.contains(document.activeElement);
    const operate = can("operate");
    replace(
      actions,
      hasResult &&
        el(
          "a",
          { class: "button primary", href: api.address(["jobs", id, "result"]), download: "" },
          icon("download"),
          el("span", null, "Archive"),
        ),
      operate && canRetry({ status: state }) && act("retry", "Retry", { kind: "primary", image: "retry" }),
      operate &&
        isActive({ status: state }) &&
        !requested &&
        act("cancel", "Cancel job", {
          image: "cancelled",
          ask: "The worker stops the job. A cancelled job can be retried later.",
        }),
      operate &&
        (kept
          ? act("release", "Release", {
              image: "kept",
              title: "The job expires after the retention time again",
            })
          : act("keep", "Keep", { image: "kept", title: "Excludes the job from expiry (legal hold)" })),
    );
    if (focused) (actions.querySelector("button, a") ?? title).focus();
  });
  const drawStatus = changed(([state, requested, kept]) => {
    replace(
      status,
      statusBadge(state),
      requested && isActive({ status: state }) && el("span", { class: "tag" }, "cancel requested"),
      kept && el("span", { class: "tag", title: `Kept since ${absolute(kept)}` }, icon("kept"), "kept"),
    );
    setText(spoken, `Status: ${statusLabel(state)}`);
  });
  const drawError = changed(([code, message, state]) => {
    error.hidden = !code;
    error.classList.toggle("warn", isActive({ status: state }));
    replace(
      error,
      el(
        "h2",
        { id: "h-error" },
        icon("warning"),
        isActive({ status: state }) ? "Last error: " : "",
        outside(code, { class: "code" }),
      ),
      message && el("p", { class: "message" }, outside(message)),
      code && explanation(code),
    );
  });

  function drawTimes() {
    if (!current) return;
    const took = jobSeconds(current);
    setText(
      times,
      [
        `created ${ago(current.created_at)}`,
        took === null ? null : `${isActive(current) ? "running for" : "took"} ${duration(took)}`,
        current.result ? bytes(current.result.size) : null,
      ]
        .filter(Boolean)
        .join(" · "),
    );
    set(times, "title", absolute(current.created_at));
    setText(
      waiting,
      current.status === "pending"
        ? "Waits for a worker."
        : current.status === "retry_wait"
          ? `Next attempt ${ago(current.next_attempt_at)}.`
          : "",
    );
    attempts.tick();
  }

  // Shows a job from any source.
  function accept(next) {
    if (!next || typeof next !== "object") return;
    current = next;
    version += 1;
    if (content !== node.lastChild || !content.contains(layout)) replace(content, layout);
    const name = videoName(next.source);
    if (title.textContent !== plain(name)) replace(title, outside(name));
    setTitle(plain(name));
    drawStatus([next.status, next.cancel_requested, next.kept_at]);
    drawActions([next.status, next.cancel_requested, next.kept_at, Boolean(next.result)]);
    drawError([next.error_code, next.error_message, next.status]);
    live.hidden = !isActive(next);
    progress.node.hidden = next.status !== "processing";
    progress.update(next);
    details.update(next);
    output.update(next);
    if (Array.isArray(next.history)) attempts.update(next.history);
    drawTimes();
    // The events have no history: a new attempt or stage needs a request.
    const state = JSON.stringify([next.status, next.stage, next.attempts, next.lease_epoch, next.generation]);
    if (seen && state !== seen && !Array.isArray(next.history)) load().catch(() => {});
    seen = state;
  }

  async function load() {
    const before = version;
    const answer = await api.get(["jobs", id], { signal });
    if (version === before) accept(answer);
    // An event overtook the answer: the event is newer, and only the history is used.
    else if (Array.isArray(answer?.history)) attempts.update(answer.history);
  }

  function unfollow() {
    stream?.close();
    stream = null;
    fallback?.abort();
    fallback = null;
  }

  // Follows the events of the job; polls if the server or a proxy refuses the stream.
  function follow() {
    unfollow();
    if (signal.aborted || document.hidden) return;
    stream = new EventSource(api.address(["jobs", id, "events"]));
    const source = stream;
    source.addEventListener("job", (event) => {
      try {
        accept(JSON.parse(event.data));
      } catch {
        // The next event has the whole job again.
      }
      // The server ends the stream too. Without this, a proxy that drops the last event would cause endless
      // reconnections.
      if (current && !isActive(current)) {
        source.close();
        if (stream === source) stream = null;
      }
    });
    source.addEventListener("end", () => {
      source.close();
      if (stream === source) stream = null;
      load().catch((failure) => failure.status === 404 && gone(failure));
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED || stream !== source) return;
      stream = null;
      fallback = new AbortController();
      const stop = fallback;
      poll(
        async () => {
          await load().catch(gone);
          if (isActive(current ?? {})) return;
          stop.abort();
          if (fallback === stop) fallback = null;
        },
        { pause: POLL_MS, signal: stop.signal },
      );
    });
  }

  // A deleted job keeps its last state on the page.
  function gone(error) {
    if (error.status !== 404) throw error;
    unfollow();
    if (current) replace(actions, el("span", { class: "tag" }, "deleted"));
    else replace(content, failurePanel(error));
  }

  async function begin() {
    try {
      await load();
    } catch (failure) {
      if (signal.aborted || failure.status === 401) return;
      replace(content, failurePanel(failure, failure.status === 404 ? null : begin));
      return;
    }
    if (isActive(current)) follow();
  }

  const visible = () => {
    if (document.hidden) unfollow();
    else if (current && isActive(current)) follow();
  };
  document.addEventListener("visibilitychange", visible);
  signal.addEventListener("abort", () => {
    unfollow();
    document.removeEventListener("visibilitychange", visible);
  });
  tick(() => {
    drawTimes();
    // A retry by another operator continues a job whose events have ended.
    if (current && isActive(current) && !stream && !fallback) follow();
  }, signal);
  begin();
  return { node, title: "Job", update() {} };
}
