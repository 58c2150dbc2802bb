// The filters of the jobs, as a form and as parameters of the address and of the API.

import { el, field, icon, set } from "./dom.js";
import { CODE_NAMES, STATUS_NAMES, statusLabel } from "./terms.js";

const KEYS = ["status", "error_code", "text", "source_prefix", "tenant", "newer_than", "older_than", "kept"];
const AGES = ["15m", "1h", "6h", "24h", "7d", "30d"];
const TYPING_MS = 300;

// Returns the known, non-empty parameters of an address.
export function filterOf(query) {
  return Object.fromEntries(KEYS.map((key) => [key, query.get(key) ?? ""]).filter(([, value]) => value));
}

// Returns the filter for the body of a bulk request.
export function bodyOf(filter) {
  const body = { ...filter };
  for (const key of ["status", "error_code"]) if (body[key]) body[key] = body[key].split(",");
  if (body.kept) body.kept = body.kept === "true";
  return body;
}

// Creates the form. Calls `apply(filter)` for every change.
export function filterForm(apply) {
  let filter = {};
  let timer = null;
  const change = (key, value) => {
    clearTimeout(timer);
    // Includes a text whose typing has not ended yet.
    const typed = { text: text.value.trim(), source_prefix: prefix.value.trim(), tenant: tenant.value.trim() };
    filter = { ...filter, ...typed, [key]: value };
    apply(Object.fromEntries(Object.entries(filter).filter(([, each]) => each)));
  };
  const later = (key, node) => {
    clearTimeout(timer);
    timer = setTimeout(() => change(key, node.value.trim()), TYPING_MS);
  };

  const statuses = STATUS_NAMES.map((status) => {
    const box = el("input", {
      type: "checkbox",
      value: status,
      class: "sr",
      onchange: () =>
        change(
          "status",
          statuses
            .filter((each) => each.box.checked)
            .map((each) => each.box.value)
            .join(","),
        ),
    });
    return {
      box,
      node: el("label", { class: "chip", "data-status": status }, box, icon(status), statusLabel(status)),
    };
  });
  const text = el("input", {
    type: "search",
    id: "text-filter",
    placeholder: "Error, source, key, metadata",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => later("text", text),
  });
  const prefix = el("input", {
    type: "search",
    placeholder: "talks/ or s3://bucket/",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => later("source_prefix", prefix),
  });
  const tenant = el("input", {
    type: "search",
    maxlength: "64",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => later("tenant", tenant),
  });
  const select = (key, empty, values) => {
    const node = el(
      "select",
      { onchange: () => change(key, node.value) },
      el("option", { value: "" }, empty),
      values.map((value) => el("option", { value }, value)),
    );
    return node;
  };
  const code = select("error_code", "Any", CODE_NAMES);
  const newer = select("newer_than", "Any time", AGES);
  const older = select("older_than", "Any time", AGES);
  const kept = el("input", { type: "checkbox", onchange: () => change("kept", kept.checked ? "true" : "") });
  const clear = el(
    "button",
    {
      type: "button",
      class: "button quiet",
      onclick: () => {
        clearTimeout(timer);
        apply({});
        fill({});
        text.focus();
      },
    },
    "Clear filters",
  );

  // A link can have a value that the list lacks, such as several codes.
  const choose = (node, value) => {
    if (value && ![...node.options].some((option) => option.value === value))
      node.append(el("option", { value }, value));
    set(node, "value", value);
  };
  function fill(next) {
    filter = { ...next };
    const chosen = new Set((next.status ?? "").split(","));
    for (const { box } of statuses) set(box, "checked", chosen.has(box.value));
    // A space at the end of a text that is being typed stays.
    if (text.value.trim() !== (next.text ?? "")) text.value = next.text ?? "";
    if (prefix.value.trim() !== (next.source_prefix ?? "")) prefix.value = next.source_prefix ?? "";
    if (tenant.value.trim() !== (next.tenant ?? "")) tenant.value = next.tenant ?? "";
    choose(code, next.error_code ?? "");
    choose(newer, next.newer_than ?? "");
    choose(older, next.older_than ?? "");
    set(kept, "checked", next.kept === "true");
    clear.hidden = Object.keys(next).length === 0;
  }
  const fields = el(
    "div",
    { class: "filter-fields", id: "filter-fields" },
    field("Text", text),
    field("Source prefix", prefix),
    field("Tenant", tenant),
    field("Error code", code),
    field("Newer than", newer),
    field("Older than", older),
    el("label", { class: "check" }, kept, "Kept"),
    clear,
  );
  // Phones show the text alone until the button is pressed.
  const expand = el(
    "button",
    {
      type: "button",
      class: "button quiet expand",
      "aria-expanded": "false",
      "aria-controls": "filter-fields",
      onclick: () => set(expand, "aria-expanded", String(fields.classList.toggle("expanded"))),
    },
    icon("filter"),
    "More filters",
  );
  const node = el(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Filter of the jobs",
      onsubmit: (event) => event.preventDefault(),
    },
    el(
      "fieldset",
      { class: "chips" },
      el("legend", { class: "sr" }, "Status"),
      statuses.map((each) => each.node),
    ),
    fields,
    expand,
  );
  return { node, fill, focusText: () => text.focus() };
}
