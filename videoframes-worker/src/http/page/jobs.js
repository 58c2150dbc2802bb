// The list of jobs: a table that updates in place, its filters and its selection.

import * as api from "./api.js";
import { bulkBar } from "./bulk.js";
import { el, icon, keyed, outside, plain, replace, set, setText, table, changed, button } from "./dom.js";
import { filterForm, filterOf } from "./filters.js";
import { absolute, ago, count, duration, jobSeconds, plural } from "./format.js";
import { listing, MAX_ROWS } from "./listing.js";
import { busy } from "./notice.js";
import { poll } from "./poll.js";
import { progressBar, resultText } from "./progress.js";
import { replaceQuery } from "./router.js";
import { can } from "./session.js";
import { causeText, isActive, meaning, sourceText, statusBadge, videoName, encode } from "./terms.js";

const POLL_MS = 2000;

// Creates the row of a job.
function jobRow(selectable, onselect) {
  return (first) => {
    const id = first.id;
    const box = selectable
      ? el("input", {
          type: "checkbox",
          "aria-label": `Select ${plain(videoName(first.source))}`,
          onclick: (event) => onselect(id, box.checked, event.shiftKey),
        })
      : null;
    const status = el("td", { role: "cell", class: "c-status" });
    const drawStatus = changed(([value, requested, priority, parked]) =>
      replace(
        status,
        statusBadge(value),
        requested && value === "processing" && el("span", { class: "tag" }, "cancelling"),
        parked && el("span", { class: "tag", title: "Waits for the limit of its tenant" }, "parked"),
        priority && priority !== "normal" && el("span", { class: "tag", title: "Priority" }, outside(priority)),
      ),
    );
    const link = el("a", { href: `#/jobs/${encode(id)}` });
    const drawVideo = changed(([source]) => {
      replace(link, outside(videoName(source)));
      set(link, "title", plain(sourceText(source)));
    });
    const tenant = el("span", { class: "muted", title: "Tenant" });
    const drawTenant = changed(([name]) => replace(tenant, name && outside(name)));
    const hold = el(
      "span",
      { class: "hold", title: "Kept under a legal hold", hidden: true },
      icon("kept"),
      el("span", { class: "sr" }, "kept"),
    );
    const progress = progressBar(`Progress of ${plain(videoName(first.source))}`);
    const result = el("span", { class: "muted" });
    const attempts = el("td", { role: "cell", class: "number c-attempts", "data-label": "Attempts" });
    const created = el("time");
    const took = el("td", { role: "cell", class: "number c-duration", "data-label": "Duration" });
    const error = el("td", { role: "cell", class: "c-error" });
    const drawError = changed(([code, message]) =>
      replace(
        error,
        code &&
          el(
            "span",
            { title: plain(`${code}: ${message ?? ""}\n${meaning(code)} ${causeText(code) ?? ""}`) },
            outside(code, { class: "code" }),
            " ",
            outside(message ?? "", { class: "muted" }),
          ),
      ),
    );
    const node = el(
      "tr",
      { role: "row", "data-id": id },
      box && el("td", { role: "cell", class: "c-select" }, box),
      status,
      el("td", { role: "cell", class: "c-video" }, el("span", { class: "video" }, link, hold, tenant)),
      el("td", { role: "cell", class: "c-progress" }, progress.node, result),
      attempts,
      el("td", { role: "cell", class: "c-created", "data-label": "Created" }, created),
      took,
      error,
    );
    return {
      node,
      box,
      update(job) {
        drawStatus([job.status, job.cancel_requested, job.priority, job.parked_at]);
        drawVideo([job.source]);
        drawTenant([job.tenant]);
        hold.hidden = !job.kept_at;
        progress.node.hidden = job.status !== "processing";
        if (job.status === "processing") progress.update(job);
        setText(
          result,
          job.status === "completed"
            ? resultText(job)
            : job.status === "retry_wait" && job.next_attempt_at
              ? `next attempt ${ago(job.next_attempt_at)}`
              : "",
        );
        setText(attempts, count(job.attempts));
        setText(created, ago(job.created_at));
        set(created, "title", absolute(job.created_at));
        set(created, "datetime", typeof job.created_at === "string" ? job.created_at : null);
        setText(took, duration(jobSeconds(job)));
        drawError([job.error_code, job.error_message]);
      },
    };
  };
}

export function jobs({ signal, query }) {
  const selectable = can("operate");
  const selected = new Set();
  const boxes = new Map();
  let filter = filterOf(query);
  let anchor = null;
  let shown = [];
  let list;
  let generation = 0;
  let drawn = 0;
  let searching = new AbortController();

  const all = selectable
    ? el("input", {
        type: "checkbox",
        "aria-label": "Select all shown jobs",
        onchange: () => {
          for (const job of shown) selected[all.checked ? "add" : "delete"](job.id);
          drawSelection();
        },
      })
    : null;
  const headings = [
    all && el("th", { scope: "col", role: "columnheader", class: "c-select" }, all),
    "Status",
    "Video",
    "Progress",
    el("th", { scope: "col", role: "columnheader", class: "number" }, "Attempts"),
    "Created",
    el("th", { scope: "col", role: "columnheader", class: "number" }, "Duration"),
    "Error",
  ].filter(Boolean);
  const { node: frame, body } = table("Jobs, newest first", headings, { class: "jobs" });
  const createRow = jobRow(selectable, select);
  const update = keyed(
    body,
    (job) => job.id,
    (job) => {
      const row = createRow(job);
      if (row.box) boxes.set(job.id, row.box);
      return row;
    },
  );

  const summary = el("p", { class: "muted summary" });
  const spoken = el("p", { class: "sr", role: "status" });
  const empty = el("div", { class: "empty" }, "Loading…");
  const more = button("Load more", () =>
    busy(
      more,
      async () => {
        await list.more(searching.signal);
        draw();
      },
      "Load more",
    ),
  );
  const end = el("p", { class: "hint" });
  const unreadable = el("details", { class: "panel notice", hidden: true });
  const drawUnreadable = changed((items) => {
    unreadable.hidden = items.length === 0;
    replace(
      unreadable,
      el("summary", null, icon("warning"), `${plural(items.length, "job")} cannot be read`),
      el(
        "ul",
        null,
        items
          .slice(0, 100)
          .map((each) => el("li", null, outside(each?.id, { class: "mono" }), " ", outside(each?.reason))),
      ),
    );
  });
  const form = filterForm(apply);
  const bulk = selectable
    ? bulkBar({
        filter: () => filter,
        selected,
        signal,
        done: () => {
          selected.clear();
          drawSelection();
          refresh();
        },
      })
    : null;

  function select(id, on, range) {
    const ids = shown.map((job) => job.id);
    const [from, to] = [ids.indexOf(anchor), ids.indexOf(id)].sort((a, b) => a - b);
    for (const each of range && from >= 0 ? ids.slice(from, to + 1) : [id]) selected[on ? "add" : "delete"](each);
    anchor = id;
    drawSelection();
  }

  function drawSelection() {
    if (!selectable) return;
    for (const [id, box] of boxes) {
      const on = selected.has(id);
      if (box.checked !== on) box.checked = on;
      box.closest("tr")?.classList.toggle("selected", on);
    }
    all.checked = shown.length > 0 && selected.size === shown.length;
    all.indeterminate = selected.size > 0 && selected.size < shown.length;
    bulk.update(shown.length);
  }

  function draw() {
    shown = list.sorted();
    update(shown);
    const ids = new Set(shown.map((job) => job.id));
    for (const id of selected) if (!ids.has(id)) selected.delete(id);
    for (const id of boxes.keys()) if (!ids.has(id)) boxes.delete(id);
    drawSelection();
    const filtered = Object.keys(filter).length > 0;
    empty.hidden = shown.length > 0;
    frame.hidden = shown.length === 0;
    setText(
      empty,
      list.hasMore()
        ? "No match among the newest jobs yet."
        : filtered
          ? "No job matches the filter."
          : "There are no jobs yet.",
    );
    const active = shown.filter(isActive).length;
    setText(
      summary,
      `${plural(shown.length, "job")} shown${list.hasMore() ? ", more exist" : ""}` +
        (active ? ` · ${count(active)} unfinished` : ""),
    );
    more.hidden = !list.hasMore() || list.isFull();
    setText(more.lastChild, shown.length === 0 ? "Search older jobs" : "Load more");
    setText(end, list.isFull() ? `The page shows at most ${count(MAX_ROWS)} jobs. Use a filter for older jobs.` : "");
    drawUnreadable(list.unreadable());
  }

  function restart() {
    generation += 1;
    const mine = generation;
    searching.abort();
    searching = new AbortController();
    const stopped = AbortSignal.any([signal, searching.signal]);
    const wanted = { ...filter };
    list = listing((page) => api.get(["jobs"], { query: { ...wanted, ...page }, signal: stopped }));
    return mine;
  }

  async function load() {
    const mine = generation;
    const fresh = drawn !== mine;
    try {
      await list.refresh();
      if (fresh && list.sorted().length === 0 && list.hasMore()) {
        setText(empty, "Searching older jobs…");
        await list.more(searching.signal);
      }
    } catch (error) {
      // The filter has changed meanwhile: the next load has its own result.
      if (mine !== generation) return;
      throw error;
    }
    if (mine !== generation) return;
    drawn = mine;
    draw();
    if (fresh) setText(spoken, summary.textContent);
  }

  // Applies a filter of the form.
  function apply(next) {
    filter = next;
    replaceQuery("jobs", filter);
    form.fill(filter);
    selected.clear();
    restart();
    refresh();
  }

  restart();
  form.fill(filter);
  const node = el(
    "div",
    { class: "view" },
    el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Jobs"), summary, spoken),
    form.node,
    unreadable,
    bulk?.node,
    el("div", { class: "panel flush" }, frame, empty),
    el("div", { class: "center" }, more, end),
  );
  const refresh = poll(load, { pause: POLL_MS, signal });
  signal.addEventListener("abort", () => searching.abort());
  const focus = (parameters) =>
    parameters.get("focus") === "text" &&
    queueMicrotask(() => {
      replaceQuery("jobs", filter);
      form.focusText();
    });
  setTimeout(() => focus(query));
  return {
    node,
    update(parameters) {
      const next = filterOf(parameters);
      if (JSON.stringify(next) !== JSON.stringify(filter)) {
        filter = next;
        form.fill(filter);
        selected.clear();
        restart();
        refresh();
      }
    },
  };
}
