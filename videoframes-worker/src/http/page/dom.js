// Builds and updates elements. Data reaches the document only as text and attributes, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "indeterminate", "disabled", "hidden", "open", "selected", "muted"]);
// Characters that are invisible or change the order of others: controls, and marks of bidirectional text.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// Creates an element. Attributes: `onNAME` takes a function, `style` an object, `null` and `false` leave out.
export function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) set(node, key, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Sets an attribute or property, only if it changes.
export function set(node, key, value) {
  if (key.startsWith("on")) {
    node.addEventListener(key.slice(2), value);
  } else if (key === "style") {
    for (const [property, part] of Object.entries(value)) node.style.setProperty(property, part);
  } else if (PROPERTIES.has(key) && !(key === "value" && node.localName === "option")) {
    if (node[key] !== value) node[key] = value;
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(key);
  } else {
    const text = value === true ? "" : String(value);
    // Addresses of this page and its server only: data can never become `javascript:` or another site.
    if ((key === "href" || key === "src") && !/^(#|\/(?!\/))/.test(text))
      throw new Error(`not an address of this server: ${text}`);
    if (node.getAttribute(key) !== text) node.setAttribute(key, text);
  }
}

// Sets the text of an element, only if it changes.
export function setText(node, value) {
  const text = String(value);
  if (node.textContent !== text) node.textContent = text;
}

// Replaces the children of an element.
export function replace(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

// Returns text from outside with control characters made visible.
export function plain(value) {
  return String(value ?? "").replace(CONTROLS, "\ufffd");
}

// Like `plain`, but keeps line feeds and tabs.
export function plainLines(value) {
  return String(value ?? "").replace(CONTROLS, (character) =>
    character === "\n" || character === "\t" ? character : "\ufffd",
  );
}

// Creates an element for text from outside, isolated from the direction of the text around it.
export function outside(value, attributes) {
  return el("bdi", attributes, plain(value));
}

// Keeps the children of `parent` in step with a list, so that focus and scroll position survive an update.
// `create` returns `{ node, update }`.
export function keyed(parent, keyOf, create) {
  const entries = new Map();
  return (items) => {
    const kept = new Set(items.map(keyOf));
    for (const [key, entry] of entries) {
      if (!kept.has(key)) {
        entry.node.remove();
        entries.delete(key);
      }
    }
    let cursor = parent.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let entry = entries.get(key);
      if (!entry) {
        entry = create(item);
        entries.set(key, entry);
      }
      entry.update?.(item);
      if (entry.node === cursor) cursor = cursor.nextElementSibling;
      else parent.insertBefore(entry.node, cursor);
    }
  };
}

// Returns a function that calls `draw` only if its argument differs from the last one.
export function changed(draw) {
  let last;
  return (value) => {
    const text = JSON.stringify(value);
    if (text !== last) {
      last = text;
      draw(value);
    }
  };
}

const ICONS = {
  pending: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11",
  processing: "M8 2.500a5.500 5.500 0 1 1-5.500 5.500M5.800 8h4.400M8 5.800v4.400",
  retry_wait: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11M8 5v3.200l2.200 1.400",
  completed: "M3 8.500l3.300 3.300L13 5",
  failed: "M4 4l8 8M12 4l-8 8",
  cancelled: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11M4.200 11.800l7.600-7.600",
  unknown: "M8 2.500a5.500 5.500 0 1 0 0 11a5.500 5.500 0 1 0 0-11M8 8h.01",
  warning: "M8 2.500L14 13H2zM8 6.500v3M8 11.200v.1",
  kept: "M4.500 7.500h7v5.500h-7zM6 7.500V5.200a2 2 0 0 1 4 0v2.300",
  download: "M8 2.500v7.500M4.800 7.200L8 10.400l3.200-3.200M3 13.500h10",
  upload: "M8 11V3M4.800 6L8 2.800L11.200 6M3 13.500h10",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  sun:
    "M8 5.200a2.800 2.800 0 1 0 0 5.600a2.800 2.800 0 1 0 0-5.600M8 1.200v1.600M8 13.200v1.600M1.200 8h1.600M13.200 8h1.600" +
    "M3.200 3.200l1.100 1.100M11.700 11.700l1.100 1.100M12.800 3.200l-1.100 1.100M4.300 11.700l-1.100 1.100",
  moon: "M13.500 9.500A6 6 0 1 1 6.500 2.500a4.800 4.800 0 0 0 7 7z",
  close: "M4 4l8 8M12 4l-8 8",
  previous: "M10 3L5 8l5 5",
  next: "M6 3l5 5l-5 5",
  search: "M7 2.500a4.500 4.500 0 1 0 0 9a4.500 4.500 0 1 0 0-9M10.300 10.300L13.500 13.500",
  help: "M6 6.200a2 2 0 1 1 2.600 1.900c-.4.200-.6.500-.6 1v.4M8 12.200v.1",
  filter: "M2.500 4h11M4.500 8h7M6.500 12h3",
  retry: "M13 8a5 5 0 1 1-1.600-3.700M13 2.500v3h-3",
};

// Creates an icon without text for screen readers.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", Object.hasOwn(ICONS, name) ? ICONS[name] : ICONS.unknown);
  svg.append(path);
  return svg;
}

// Creates a button. `kind` is "primary", "danger" or "quiet".
export function button(label, onclick, { kind = "", image = null, ...attributes } = {}) {
  return el(
    "button",
    { type: "button", class: `button ${kind}`.trim(), onclick, ...attributes },
    image && icon(image),
    label && el("span", null, label),
  );
}

// Creates a field with its label.
export function field(label, control, hint) {
  const id = (control.id ||= `f-${(field.count = (field.count ?? 0) + 1)}`);
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    control,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

// Creates a table in a container that scrolls sideways. Roles are explicit since the style of phones changes the
// display.
export function table(caption, headings, attributes = {}) {
  const body = el("tbody", { role: "rowgroup" });
  const head = el(
    "tr",
    { role: "row" },
    headings.map((heading) =>
      typeof heading === "string" ? el("th", { scope: "col", role: "columnheader" }, heading) : heading,
    ),
  );
  const node = el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      { role: "table", ...attributes },
      el("caption", { class: "sr" }, caption),
      el("thead", { role: "rowgroup" }, head),
      body,
    ),
  );
  return { node, body };
}
