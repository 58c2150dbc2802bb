// Repeats a request while the tab is visible, and slows down while it fails.

import { age } from "./format.js";
import { button, el, plain, replace } from "./dom.js";

const MAX_PAUSE_MS = 30000;

// Calls `load` every `pause` milliseconds until `signal` aborts. Returns a function that calls `load` at once.
export function poll(load, { pause, signal }) {
  let timer = null;
  let failures = 0;
  let running = false;
  let again = false;

  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted || document.hidden) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    let wait = pause;
    try {
      await load();
      if (failures > 0) connected();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      wait = Math.min(MAX_PAUSE_MS, Math.max(pause, 1000) * 2 ** Math.min(failures, 5));
      if (error.retryAfter > 0) wait = Math.max(wait, error.retryAfter * 1000);
      // Clients that fail together do not return together.
      wait *= 0.9 + Math.random() * 0.2;
      if (error.status !== 401) disconnected(error, wait, run);
    } finally {
      running = false;
    }
    if (signal.aborted) return;
    if (again) {
      again = false;
      run();
    } else {
      timer = setTimeout(run, wait);
    }
  };
  const visible = () => (document.hidden ? clearTimeout(timer) : run());
  document.addEventListener("visibilitychange", visible);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", visible);
    connected();
  });
  run();
  return run;
}

// Calls `draw` every second while the tab is visible, for times that count.
export function tick(draw, signal) {
  const timer = setInterval(() => document.hidden || draw(), 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

const line = () => document.getElementById("connection");

function disconnected(error, wait, retry) {
  replace(
    line(),
    el(
      "p",
      null,
      el("strong", null, "No current data. "),
      plain(error.message),
      ` Next attempt in ${age(wait / 1000)}. `,
    ),
    button("Try now", retry, { kind: "quiet" }),
  );
}

function connected() {
  if (line().firstChild) replace(line());
}
