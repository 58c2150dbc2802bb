// The session: who may do what, login and logout.

import * as api from "./api.js";
import { button, el, field, outside, plain, setText } from "./dom.js";

export const session = { mode: null, name: null, scopes: [], version: null, max_upload_bytes: null };

export const can = (scope) => session.scopes.includes(scope);

export async function loadSession(signal) {
  accept(await api.get(["session"], { signal, login: true }));
}

function accept(answer) {
  Object.assign(session, { mode: null, name: null, version: null, max_upload_bytes: null }, answer);
  session.scopes = Array.isArray(answer?.scopes) ? answer.scopes : [];
}

export async function logout() {
  await api.remove(["session"]);
  session.scopes = [];
}

// Creates the name, the scopes and the button to log out.
export function account(onlogout) {
  const rights = can("operate") ? null : can("submit") ? "read and submit" : "read only";
  return [
    rights && el("span", { class: "tag", title: `Scopes: ${session.scopes.map(plain).join(", ") || "none"}` }, rights),
    session.name &&
      el(
        "span",
        {
          class: "who",
          title: `Token ${plain(session.name)}, scopes: ${session.scopes.map(plain).join(", ")}`,
        },
        outside(session.name),
      ),
    session.mode === "tokens" && button("Log out", onlogout, { kind: "quiet" }),
  ];
}

// Creates the login form. Calls `done` after a login.
export function loginView(done, expired) {
  const token = el("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    autofocus: true,
  });
  const message = el("p", { class: "error-text", role: "alert" });
  const send = el("button", { type: "submit", class: "button primary" }, "Log in");
  const submit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    setText(message, "");
    try {
      accept(await api.post(["session"], { token: token.value.trim() }, { login: true }));
      token.value = "";
      done();
    } catch (error) {
      setText(message, error.status === 401 ? "This token is not valid." : plain(error.message));
      token.select();
    } finally {
      send.disabled = false;
    }
  };
  return el(
    "form",
    { class: "panel login", onsubmit: submit },
    el("h1", { tabindex: "-1" }, "Log in"),
    el(
      "p",
      null,
      expired ? "The session has ended. " : "",
      "This server needs a token. An operator makes one with ",
      el("code", null, "vf-worker token create"),
      ".",
    ),
    field("Token", token, "Starts with vft_. The page does not store it."),
    message,
    send,
  );
}
