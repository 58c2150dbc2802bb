// Short messages and dialogs.

import { button, el, icon, plain } from "./dom.js";

const TOAST_MS = 6000;

// Shows a message that screen readers announce. Errors stay until they are closed.
export function toast(message, tone = "good") {
  const box = document.getElementById("toasts");
  const node = el(
    "div",
    { class: `toast ${tone}` },
    icon(tone === "bad" ? "warning" : "completed"),
    el("bdi", null, plain(message)),
    button("", () => node.remove(), { kind: "quiet icon-only", image: "close", "aria-label": "Close message" }),
  );
  while (box.childElementCount >= 3) box.firstElementChild.remove();
  box.append(node);
  if (tone !== "bad") setTimeout(() => node.remove(), TOAST_MS);
}

// Shows the message of a failed request. A 401 shows the login instead.
export function showProblem(error, action) {
  if (error.name === "AbortError" || error.status === 401) return;
  toast(action ? `${action}: ${error.message}` : error.message, "bad");
}

// Opens a modal dialog. `fill(close)` returns body and buttons. Resolves with the value of `close`, or null after Esc.
export function dialog(title, fill, attributes = {}) {
  return new Promise((resolve) => {
    let result = null;
    const close = (value = null) => {
      result = value;
      node.close();
    };
    const heading = el("h2", { id: "dialog-title" }, title);
    const node = el("dialog", {
      "aria-labelledby": "dialog-title",
      ...attributes,
      onclose: () => {
        node.remove();
        resolve(result);
      },
      onclick: (event) => {
        if (event.target === node) close();
      },
    });
    node.append(el("div", { class: "dialog-in" }, heading, fill(close, node)));
    document.body.append(node);
    node.showModal();
  });
}

// Asks for a confirmation.
export async function confirm(title, text, action, kind = "primary") {
  return (
    (await dialog(title, (close) =>
      el(
        "div",
        null,
        el("p", null, text),
        el(
          "div",
          { class: "actions end" },
          button("Close", () => close(null)),
          button(action, () => close(true), { kind, autofocus: true }),
        ),
      ),
    )) === true
  );
}

// Creates a panel that explains why a view has no content.
export function failurePanel(error, retry) {
  return el(
    "div",
    { class: "panel empty", role: "alert" },
    icon("warning"),
    el("p", null, plain(error.message)),
    retry && button("Try now", retry),
  );
}

// Runs an action of a button: disables the button meanwhile, and shows failures.
export async function busy(node, action, name) {
  node.disabled = true;
  node.setAttribute("aria-busy", "true");
  try {
    return await action();
  } catch (error) {
    showProblem(error, name);
    return null;
  } finally {
    node.disabled = false;
    node.removeAttribute("aria-busy");
  }
}
