// The submission of videos: files by drag and drop, or an object of the store.

import * as api from "./api.js";
import { button, el, field, icon, outside, plain, replace, set, setText } from "./dom.js";
import { bytes, count, percent, plural } from "./format.js";
import { showProblem, toast } from "./notice.js";
import { messageOf, requestForm } from "./request.js";
import { session } from "./session.js";
import { encode, jobLink } from "./terms.js";

const CONCURRENT = 2;
const MAX_FILES = 500;

// Creates the line of a file with its own upload, which can be cancelled and retried.
function fileLine(file, onchange) {
  const state = { phase: "waiting", source: null, stop: new AbortController() };
  const text = el("span", { class: "muted" });
  const fill = el("span");
  const bar = el(
    "div",
    {
      class: "progress",
      role: "progressbar",
      "aria-label": `Upload of ${plain(file.name)}`,
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      hidden: true,
    },
    fill,
  );
  const link = el("span");
  const cancel = button(
    "",
    () => {
      if (state.phase === "uploading") state.stop.abort();
      else remove();
    },
    { kind: "quiet icon-only", image: "close", "aria-label": `Remove ${plain(file.name)}` },
  );
  const node = el(
    "li",
    { class: "file" },
    el(
      "div",
      { class: "file-line" },
      el("span", { class: "file-name", title: plain(file.name) }, outside(file.name)),
      text,
      link,
      el("span", { class: "grow" }),
      cancel,
    ),
    bar,
  );
  const remove = () => {
    state.phase = "removed";
    onchange();
  };
  const phase = (name, message, tone = "muted") => {
    state.phase = name;
    setText(text, message);
    text.className = tone;
    bar.hidden = name !== "uploading";
    cancel.hidden = name === "submitting" || name === "submitted";
    set(cancel, "aria-label", `${name === "uploading" ? "Cancel the upload of" : "Remove"} ${plain(file.name)}`);
    onchange();
  };
  const progress = (loaded) => {
    const part = file.size ? loaded / file.size : 1;
    fill.style.transform = `scaleX(${Math.min(1, part)})`;
    set(bar, "aria-valuenow", Math.round(part * 100));
    setText(text, `${percent(Math.floor(part * 100) / 100)} of ${bytes(file.size)}`);
  };
  const limit = session.max_upload_bytes;
  if (file.size === 0) phase("refused", "This file is empty.", "error-text");
  else if (typeof limit === "number" && file.size > limit)
    phase("refused", `Too large: ${bytes(file.size)}, the limit is ${bytes(limit)}.`, "error-text");
  else phase("waiting", bytes(file.size));

  return {
    node,
    state,
    remove,
    ready: () => state.phase === "waiting" || state.phase === "failed",
    async run(message, key) {
      try {
        if (!state.source) {
          state.stop = new AbortController();
          phase("uploading", "starts");
          progress(0);
          const answer = await api.upload(file, { onprogress: progress, signal: state.stop.signal });
          state.source = answer?.source;
        }
        phase("submitting", "submitting…");
        const job = await api.post(
          ["jobs"],
          { ...message, source: state.source },
          { headers: key ? { "Idempotency-Key": key } : {} },
        );
        phase("submitted", "submitted");
        replace(
          link,
          el(
            "a",
            { href: `#/jobs/${encode(job.id)}`, "aria-label": `View the job of ${plain(file.name)}` },
            "View job",
          ),
        );
      } catch (error) {
        if (error.name === "AbortError") phase("waiting", `${bytes(file.size)}, upload cancelled`);
        else phase("failed", plain(error.message), "error-text");
      }
    },
  };
}

export function submit({ signal }) {
  const request = requestForm();
  let lines = [];
  let running = false;

  const list = el("ul", { class: "files" });
  const picker = el("input", {
    type: "file",
    multiple: true,
    accept: "video/*,.mkv,.ts,.mts,.mxf,.avi,.flv,.wmv,.vob,.y4m",
    class: "sr",
    id: "file-input",
    onchange: () => {
      add(picker.files);
      picker.value = "";
    },
  });
  const drop = el(
    "label",
    { class: "drop", for: "file-input" },
    picker,
    icon("upload"),
    el("span", { class: "drop-title" }, "Drop videos here, or choose files"),
    el(
      "span",
      { class: "muted" },
      typeof session.max_upload_bytes === "number" ? `At most ${bytes(session.max_upload_bytes)} each` : "",
    ),
  );
  const objectKey = el("input", {
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "talks/2026/opening.mp4",
    oninput: draw,
  });
  const bucket = el("input", {
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "bucket of the results",
  });
  const idempotency = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: 256 });
  const keyField = field(
    "Idempotency key",
    idempotency,
    "For one video: submissions with the same key are the same job.",
  );
  const message = el("p", { class: "error-text", role: "alert" });
  const send = el("button", { type: "submit", class: "button primary large" }, "Submit");
  const objectResult = el("p", { class: "submitted", role: "status" });
  const sources = [
    ["files", "Upload files"],
    ["object", "Object in the store"],
  ].map(([value, label], index) => {
    const box = el("input", {
      type: "radio",
      name: "source",
      value,
      class: "sr",
      checked: index === 0,
      onchange: draw,
    });
    return { box, node: el("label", { class: "chip" }, box, label) };
  });
  const filesBox = el("div", { class: "stack" }, drop, list);
  const objectBox = el(
    "div",
    { class: "stack" },
    el("div", { class: "fields two" }, field("Key", objectKey), field("Bucket", bucket)),
    objectResult,
  );
  const isObject = () => sources[1].box.checked;

  function add(files) {
    const room = MAX_FILES - lines.length;
    if (files.length > room) toast(`At most ${count(MAX_FILES)} files at a time.`, "bad");
    lines = [...lines, ...[...files].slice(0, room).map((file) => fileLine(file, draw))];
    draw();
  }

  function draw() {
    for (const line of lines.filter((each) => each.state.phase === "removed")) line.node.remove();
    lines = lines.filter((each) => each.state.phase !== "removed");
    for (const line of lines) if (line.node.parentNode !== list) list.append(line.node);
    const ready = lines.filter((each) => each.ready()).length;
    filesBox.hidden = isObject();
    objectBox.hidden = !isObject();
    send.disabled = running || (isObject() ? !objectKey.value.trim() : ready === 0);
    setText(send, running ? "Submitting…" : isObject() || ready === 0 ? "Submit" : `Submit ${plural(ready, "video")}`);
    idempotency.disabled = !isObject() && ready > 1;
  }

  async function submitFiles(body, key) {
    const waiting = lines.filter((each) => each.ready());
    const work = async () => {
      for (let line = waiting.shift(); line && !signal.aborted; line = waiting.shift())
        if (line.ready()) await line.run(body, key);
    };
    await Promise.all(Array.from({ length: CONCURRENT }, work));
    const done = lines.filter((each) => each.state.phase === "submitted").length;
    if (done && !signal.aborted) toast(`${plural(done, "video")} submitted.`);
  }

  async function submitObject(body, key) {
    const source = { key: objectKey.value.trim(), ...(bucket.value.trim() && { bucket: bucket.value.trim() }) };
    const job = await api.post(
      ["jobs"],
      { ...body, source },
      { signal, headers: key ? { "Idempotency-Key": key } : {} },
    );
    replace(objectResult, icon("completed"), " Submitted as ", jobLink(job.id, job.source));
  }

  async function perform(event) {
    event.preventDefault();
    setText(message, "");
    replace(objectResult);
    let body;
    try {
      body = messageOf(request.values());
    } catch (error) {
      setText(message, error.message);
      return;
    }
    running = true;
    draw();
    try {
      const key = idempotency.disabled ? "" : idempotency.value.trim();
      await (isObject() ? submitObject(body, key) : submitFiles(body, key));
    } catch (error) {
      setText(message, plain(error.message));
      if (error.status === 401) showProblem(error);
    } finally {
      running = false;
      draw();
    }
  }

  // Without these, a file that misses the zone replaces the page.
  const isFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const over = (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    drop.classList.add("over");
  };
  const leave = (event) => event.relatedTarget === null && drop.classList.remove("over");
  const dropped = (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    drop.classList.remove("over");
    sources[0].box.checked = true;
    add(event.dataTransfer.files);
  };
  const warn = (event) => lines.some((each) => each.state.phase === "uploading") && event.preventDefault();
  document.addEventListener("dragover", over, { signal });
  document.addEventListener("dragleave", leave, { signal });
  document.addEventListener("drop", dropped, { signal });
  window.addEventListener("beforeunload", warn, { signal });
  signal.addEventListener("abort", () => lines.forEach((each) => each.state.stop.abort()));

  const node = el(
    "form",
    { class: "view", onsubmit: perform, novalidate: true },
    el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Submit")),
    el(
      "div",
      { class: "columns submit-columns" },
      el(
        "section",
        { class: "panel stack", "aria-labelledby": "h-source" },
        el(
          "div",
          { class: "panel-head" },
          el("h2", { id: "h-source" }, "Videos"),
          el("span", { class: "grow" }),
          el(
            "fieldset",
            { class: "chips" },
            el("legend", { class: "sr" }, "Source"),
            sources.map((each) => each.node),
          ),
        ),
        filesBox,
        objectBox,
        keyField,
        message,
        el("div", { class: "actions" }, send),
      ),
      el(
        "section",
        { class: "panel", "aria-labelledby": "h-request" },
        el("h2", { id: "h-request" }, "Request"),
        request.node,
      ),
    ),
  );
  draw();
  return { node, update() {} };
}
