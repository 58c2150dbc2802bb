// Starts the page: session, navigation, and one view per route.

import * as api from "./api.js";
import { button, el, replace, set } from "./dom.js";
import { route } from "./router.js";
import { account, can, loadSession, loginView, logout, session } from "./session.js";
import { dialog, failurePanel, showProblem } from "./notice.js";
import { overview } from "./overview.js";
import { jobs } from "./jobs.js";
import { job } from "./job.js";
import { submit } from "./submit.js";
import { deadLetters } from "./dead-letters.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const VIEWS = [
  { path: "", label: "Overview", view: overview },
  { path: "jobs", label: "Jobs", view: jobs },
  { path: "submit", label: "Submit", view: submit, scope: "submit" },
  { path: "dead-letter-messages", label: "Dead-letter messages", view: deadLetters, scope: "operate" },
];
let current = null;
let loggedIn = false;

function stop() {
  current?.controller.abort();
  current = null;
}

function show(node, title) {
  replace(main, node);
  document.title = title ? `${title} · videoframes` : "videoframes";
}

function render() {
  if (!loggedIn) return;
  const { parts, query } = route();
  const place = VIEWS.find((each) => each.path === (parts[0] ?? ""));
  const key = parts.join("/");
  if (current?.key === key && current.view.update) {
    current.view.update(query);
    return;
  }
  const first = current === null;
  stop();
  for (const link of nav.children) set(link, "aria-current", link.dataset.path === place?.path ? "page" : null);
  const controller = new AbortController();
  const isJob = place?.path === "jobs" && parts.length > 1;
  const context = {
    signal: controller.signal,
    query,
    id: parts[1],
    setTitle: (title) => current?.controller === controller && (document.title = `${title} · videoframes`),
  };
  current = { key, controller, view: {} };
  if (!place || (parts.length > 1 && !isJob)) {
    show(
      el(
        "div",
        { class: "panel empty" },
        el("h1", { tabindex: "-1" }, "This page does not exist"),
        el("a", { href: "#/" }, "Overview"),
      ),
      "Not found",
    );
  } else if (place.scope && !can(place.scope)) {
    show(
      el(
        "div",
        { class: "panel empty" },
        el("h1", { tabindex: "-1" }, place.label),
        el("p", null, `This view needs a token with the scope “${place.scope}”.`),
      ),
      place.label,
    );
  } else {
    current.view = isJob ? job(context) : place.view(context);
    show(current.view.node, current.view.title ?? place.label);
  }
  window.scrollTo(0, 0);
  // The first view keeps the focus of the browser. Later views move the focus to their heading, for keyboards and
  // screen readers.
  if (!first) main.querySelector("h1")?.focus({ preventScroll: true });
}

function login(expired) {
  stop();
  loggedIn = false;
  nav.hidden = true;
  replace(document.getElementById("account"), themeButton());
  for (const each of document.querySelectorAll("dialog")) each.close();
  show(loginView(start, expired), "Log in");
  main.querySelector("input").focus();
}

function themeButton() {
  const dark = () =>
    (document.documentElement.dataset.theme ??
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => (dark() ? "Use the light theme" : "Use the dark theme");
  const node = button(
    "",
    () => {
      const theme = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // Without storage, the choice lasts until the page is closed.
      }
      node.replaceWith(themeButton());
      document.querySelector(".theme").focus();
    },
    { kind: "quiet icon-only theme", image: dark() ? "sun" : "moon", "aria-label": label(), title: label() },
  );
  return node;
}

function start() {
  loggedIn = true;
  nav.hidden = false;
  replace(
    nav,
    VIEWS.filter((each) => !each.scope || can(each.scope)).map((each) =>
      el("a", { href: `#/${each.path}`, "data-path": each.path }, each.label),
    ),
  );
  replace(
    document.getElementById("account"),
    account(async () => {
      try {
        await logout();
        login(false);
      } catch (error) {
        showProblem(error, "Log out");
      }
    }),
    button("", help, {
      kind: "quiet icon-only help",
      image: "help",
      "aria-label": "Keyboard shortcuts",
      title: "Keyboard shortcuts (?)",
    }),
    themeButton(),
  );
  render();
}

function help() {
  const keys = [
    ["/", "Text filter of the jobs"],
    ["g then o", "Overview"],
    ["g then j", "Jobs"],
    ["g then s", "Submit"],
    ["← →", "Previous and next frame"],
    ["Shift + click", "Select a range of jobs"],
    ["Esc", "Close a dialog, or leave a filter"],
    ["?", "This list"],
  ];
  dialog("Keyboard shortcuts", (close) =>
    el(
      "div",
      null,
      el(
        "dl",
        { class: "keys" },
        keys.map(([key, text]) => el("div", null, el("dt", null, el("kbd", null, key)), el("dd", null, text))),
      ),
      el("p", { class: "hint" }, `vf-worker ${session.version ?? ""}`),
      el(
        "div",
        { class: "actions end" },
        button("Close", () => close(), { autofocus: true }),
      ),
    ),
  );
}

async function begin() {
  try {
    await loadSession();
    start();
  } catch (error) {
    if (error.status === 401) login(false);
    else show(failurePanel(error, begin));
  }
}

let pressedG = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !loggedIn || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing) return;
  if (event.key === "/") {
    const filter = document.getElementById("text-filter");
    event.preventDefault();
    if (filter) filter.focus();
    else location.hash = "#/jobs?focus=text";
  } else if (event.key === "?") {
    help();
  } else if (event.key === "g") {
    pressedG = event.timeStamp;
  } else if (event.timeStamp - pressedG < 1000) {
    const target = { o: "#/", j: "#/jobs", s: "#/submit" }[event.key];
    if (target) location.hash = target;
    pressedG = 0;
  }
});
// The hash of the skip link is not a route.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", render);
api.onUnauthorized(() => loggedIn && login(true));
begin();
