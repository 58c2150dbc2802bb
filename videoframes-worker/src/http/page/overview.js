// The overview: backlog, rates, failures and workers.

import * as api from "./api.js";
import { changed, el, keyed, outside, plain, replace, set, setText, table } from "./dom.js";
import { age, count, NONE, percent, plural, rate } from "./format.js";
import { poll } from "./poll.js";
import { progressText } from "./progress.js";
import { hashOf } from "./router.js";
import { explanation, jobLink, workerBadge } from "./terms.js";

const POLL_MS = 2000;
const MAX_WORKERS = 200;
const WINDOWS = [
  ["5m", "5 minutes"],
  ["1h", "1 hour"],
  ["24h", "24 hours"],
];

function tile(label, href) {
  const value = el("div", { class: "tile-value" }, NONE);
  const detail = el("div", { class: "tile-detail" });
  const node = el(
    href ? "a" : "div",
    { class: "tile", href },
    el("div", { class: "tile-label" }, label),
    value,
    detail,
  );
  return {
    node,
    update(text, more, tone = "") {
      setText(value, text);
      setText(detail, more ?? "");
      set(node, "data-tone", tone || null);
    },
  };
}

function tiles() {
  const backlog = tile("Backlog");
  const wait = tile("Oldest wait", hashOf("jobs", { status: "pending" }));
  const running = tile("Processing", hashOf("jobs", { status: "processing" }));
  const waiting = tile("Waiting", hashOf("jobs", { status: "pending,retry_wait" }));
  const outbox = tile("Outbox");
  const node = el(
    "div",
    { class: "tiles" },
    [backlog, wait, running, waiting, outbox].map((each) => each.node),
  );
  return {
    node,
    update(stats) {
      const { queue, jobs, outbox: out } = stats;
      backlog.update(
        count(stats.backlog),
        queue
          ? `${count(queue.visible)} visible · ${count(queue.in_flight)} in flight · ${count(queue.delayed)} delayed`
          : "the queue reports no numbers",
      );
      wait.update(
        age(stats.oldest_wait_seconds),
        stats.oldest_wait_seconds === null ? "no job waits" : "until the first attempt",
        stats.oldest_wait_seconds > 900 ? "warn" : "",
      );
      running.update(count(jobs?.processing), `on ${plural(stats.workers, "worker")}`);
      waiting.update(
        count((jobs?.pending ?? 0) + (jobs?.retry_wait ?? 0)),
        `${count(jobs?.pending)} pending · ${count(jobs?.retry_wait)} in retry wait`,
      );
      outbox.update(
        count(out?.unsent),
        out?.refused
          ? `${count(out.refused)} refused`
          : out?.unsent
            ? `oldest ${age(out.oldest_age_seconds)}`
            : "all notifications are sent",
        out?.refused ? "bad" : "",
      );
    },
  };
}

function rates() {
  const { node, body } = table(
    "Ended jobs by period",
    ["Period", "Completed", "Failed", "Cancelled", "Completed / min", "Failed / min", "Failure ratio"].map(
      (heading, index) => el("th", { scope: "col", role: "columnheader", class: index ? "number" : null }, heading),
    ),
    { class: "plain" },
  );
  const rows = WINDOWS.map(([key, label]) => {
    const cells = Array.from({ length: 6 }, () => el("td", { role: "cell", class: "number" }, NONE));
    body.append(el("tr", { role: "row" }, el("th", { scope: "row", role: "rowheader" }, `Last ${label}`), cells));
    return { key, cells };
  });
  return {
    node,
    update(ended) {
      for (const { key, cells } of rows) {
        const each = ended?.[key];
        [
          count(each?.completed),
          count(each?.failed),
          count(each?.cancelled),
          rate(each?.completed_per_minute),
          rate(each?.failed_per_minute),
          percent(each?.failure_ratio),
        ].forEach((text, index) => setText(cells[index], text));
        cells[1].classList.toggle("bad-text", each?.failed > 0);
        cells[5].classList.toggle("bad-text", each?.failure_ratio > 0.05);
      }
    },
  };
}

function failures() {
  const none = el("p", { class: "empty" }, "No job failed in the last 24 hours.");
  const list = el("ul", { class: "failures" });
  let most = 1;
  const update = keyed(
    list,
    (each) => String(each.code),
    (item) => {
      const number = el("span", { class: "failure-count" });
      const fill = el("span", { class: "failure-bar" });
      const node = el(
        "li",
        null,
        el(
          "div",
          { class: "failure-line" },
          el(
            "a",
            { href: hashOf("jobs", { status: "failed", error_code: String(item.code) }) },
            outside(item.code, { class: "code" }),
          ),
          number,
        ),
        el("div", { class: "failure-track", "aria-hidden": "true" }, fill),
        el("details", null, el("summary", null, "Meaning"), explanation(item.code)),
      );
      return {
        node,
        update(each) {
          setText(number, plural(each.count, "job"));
          fill.style.transform = `scaleX(${Math.max(0.01, (each.count ?? 0) / most)})`;
        },
      };
    },
  );
  return {
    node: el("div", null, none, list),
    update(all) {
      const items = Array.isArray(all) ? all.slice(0, 100) : [];
      most = Math.max(1, ...items.map((each) => each.count ?? 0));
      none.hidden = items.length > 0;
      update(items);
    },
  };
}

function workerCard() {
  const name = outside("", { class: "worker-name" });
  const state = el("span");
  const drawState = changed((value) => replace(state, workerBadge(value)));
  const slots = el("span", { class: "slots" });
  const drawSlots = changed(([used, total]) => {
    const pips = Math.min(total ?? used, 32);
    replace(
      slots,
      el(
        "span",
        { class: "pips", "aria-hidden": "true" },
        Array.from({ length: pips }, (_, index) => el("i", { class: index < used ? "used" : null })),
      ),
      el("span", null, total === null ? plural(used, "job") : `${count(used)} of ${plural(total, "slot")}`),
    );
  });
  const facts = el("p", { class: "worker-facts" });
  const list = el("ul", { class: "worker-jobs" });
  const updateJobs = keyed(
    list,
    (each) => String(each.id),
    (item) => {
      const text = el("span", { class: "muted" });
      return {
        node: el("li", null, jobLink(item.id, item.source), text),
        update: (each) =>
          setText(
            text,
            [progressText(each), each.attempts > 1 ? `attempt ${count(each.attempts)}` : null]
              .filter(Boolean)
              .join(" · "),
          ),
      };
    },
  );
  const node = el(
    "li",
    { class: "worker" },
    el("div", { class: "worker-head" }, el("h3", null, name), state, slots),
    facts,
    list,
  );
  return {
    node,
    update(worker) {
      setText(name, plain(worker.worker));
      drawState(worker.state);
      node.classList.toggle("lost", worker.state === "lost");
      const jobs = Array.isArray(worker.jobs) ? worker.jobs.slice(0, 64) : [];
      drawSlots([jobs.length, worker.slots ?? null]);
      setText(
        facts,
        [
          `version ${plain(worker.version ?? "unknown")}`,
          worker.revision ? `revision ${plain(worker.revision)}` : null,
          `last report ${age(worker.last_report_seconds)} ago`,
          `${count(worker.completed)} completed`,
          `${count(worker.failed)} failed`,
          worker.faults ? plural(worker.faults, "fault") : null,
        ]
          .filter(Boolean)
          .join(" · "),
      );
      updateJobs(jobs);
    },
  };
}

function workerList() {
  const none = el("p", { class: "empty" }, "No worker reported in the last day.");
  const more = el("p", { class: "hint" });
  const list = el("ul", { class: "workers" });
  const update = keyed(list, (each) => String(each.worker), workerCard);
  const order = (each) => (each.state === "lost" ? 0 : each.state === "stopped" ? 2 : 1);
  return {
    node: el("div", null, none, list, more),
    update(all) {
      const workers = Array.isArray(all)
        ? [...all].sort((a, b) => order(a) - order(b) || String(a.worker).localeCompare(String(b.worker)))
        : [];
      none.hidden = workers.length > 0;
      update(workers.slice(0, MAX_WORKERS));
      setText(
        more,
        workers.length > MAX_WORKERS ? `${count(workers.length - MAX_WORKERS)} more workers are not shown.` : "",
      );
    },
  };
}

export function overview({ signal }) {
  const parts = { tiles: tiles(), rates: rates(), failures: failures(), workers: workerList() };
  const summary = el("span", { class: "muted" });
  const node = el(
    "div",
    { class: "view" },
    el("h1", { tabindex: "-1", class: "sr" }, "Overview"),
    parts.tiles.node,
    el(
      "div",
      { class: "columns" },
      el(
        "div",
        { class: "stack" },
        el(
          "section",
          { class: "panel", "aria-labelledby": "h-rates" },
          el("h2", { id: "h-rates" }, "Ended jobs"),
          parts.rates.node,
        ),
        el(
          "section",
          { class: "panel", "aria-labelledby": "h-workers" },
          el("div", { class: "panel-head" }, el("h2", { id: "h-workers" }, "Workers"), summary),
          parts.workers.node,
        ),
      ),
      el(
        "section",
        { class: "panel", "aria-labelledby": "h-failures" },
        el("h2", { id: "h-failures" }, "Failures of 24 hours"),
        parts.failures.node,
      ),
    ),
  );
  poll(
    async () => {
      const [stats, workers] = await Promise.all([api.get(["stats"], { signal }), api.get(["workers"], { signal })]);
      parts.tiles.update(stats ?? {});
      parts.rates.update(stats?.ended);
      parts.failures.update(stats?.failures);
      parts.workers.update(workers);
      const lost = Array.isArray(workers) ? workers.filter((each) => each.state === "lost").length : 0;
      setText(summary, lost ? `${plural(lost, "worker")} lost` : "");
      summary.className = lost ? "bad-text" : "muted";
      set(node, "aria-busy", null);
    },
    { pause: POLL_MS, signal },
  );
  return { node };
}
