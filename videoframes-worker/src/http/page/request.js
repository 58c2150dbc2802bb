// The form of a request, and the job message that it describes.

import { el, field } from "./dom.js";

const SELECTIONS = {
  fps: ["Frames per second", "Number", "1", "Such as 1, 0.5 or 30000/1001."],
  every: ["Interval", "Interval", "5s", "Such as 5, 10s or 1m30s."],
  count: ["Number of frames", "Frames", "24", "Spread evenly over the range."],
  at: ["Times", "Times", "0 10s 1m30s", "Separated by spaces or commas; -10s counts from the end."],
  keyframes: ["Keyframes"],
  scene: ["Scene changes", "Threshold", "27", "Above 0 and at most 255."],
  thumbnail: ["One good frame"],
  all: ["All frames"],
};

const integer = (text) => (/^\d+$/.test(text) ? Number(text) : text);

// Returns the fields of a job message from the values of the form. Throws an error that names the wrong field.
export function messageOf(values) {
  const message = {};
  const { selection, amount } = values;
  if (["keyframes", "thumbnail", "all"].includes(selection)) message.selection = { [selection]: true };
  else if (!amount) throw new Error(`${SELECTIONS[selection][1]}: enter a value.`);
  else if (selection === "at") message.selection = { at: amount.split(/[\s,]+/).filter(Boolean) };
  else message.selection = { [selection]: selection === "count" ? integer(amount) : amount };
  if (values.start || values.end) {
    if (selection === "at") throw new Error("Start and end are not possible with times.");
    message.range = { ...(values.start && { start: values.start }), ...(values.end && { end: values.end }) };
  }
  message.picture = { format: values.format };
  if (values.quality) message.picture.quality = integer(values.quality);
  if (values.max_width) message.picture.max_width = integer(values.max_width);
  if (values.max_height) message.picture.max_height = integer(values.max_height);
  const outputs = Object.fromEntries(
    ["storyboard", "sheet", "preview"].filter((kind) => values[kind]).map((kind) => [kind, {}]),
  );
  if (Object.keys(outputs).length) message.outputs = outputs;
  if (values.rendition) {
    message.renditions = [
      { codec: values.codec, ...(values.rendition_height && { max_height: integer(values.rendition_height) }) },
    ];
  }
  if (values.damage) message.on_damage = "partial";
  if (values.metadata.trim()) {
    try {
      message.client_metadata = JSON.parse(values.metadata);
    } catch {
      throw new Error("Client metadata: this is not valid JSON.");
    }
  }
  return message;
}

// Creates the fields. `values()` returns the values as entered.
export function requestForm() {
  const input = (attributes) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
  const choice = (options, attributes) =>
    el(
      "select",
      attributes,
      options.map(([value, label]) => el("option", { value }, label)),
    );
  const tick = (label, attributes) => {
    const box = el("input", { type: "checkbox", ...attributes });
    return { box, node: el("label", { class: "check" }, box, label) };
  };

  const selection = choice(
    Object.entries(SELECTIONS).map(([key, [label]]) => [key, label]),
    { onchange: draw },
  );
  const amount = input({ value: SELECTIONS.fps[2] });
  const amountField = field("Number", amount, " ");
  const start = input({ placeholder: "0:30" });
  const end = input({ placeholder: "-10s" });
  const format = choice([
    ["jpg", "JPEG"],
    ["png", "PNG"],
    ["webp", "WebP"],
    ["avif", "AVIF"],
  ]);
  const quality = input({ inputmode: "numeric", placeholder: "90" });
  const width = input({ inputmode: "numeric", placeholder: "unchanged" });
  const height = input({ inputmode: "numeric", placeholder: "unchanged" });
  const storyboard = tick("Storyboard");
  const sheet = tick("Contact sheet");
  const preview = tick("Animated preview");
  const damage = tick("Keep the frames of a damaged video");
  const rendition = tick("Rendition", { onchange: draw });
  const codec = choice([
    ["h264", "H.264"],
    ["h265", "H.265"],
    ["av1", "AV1"],
    ["vp9", "VP9"],
  ]);
  const renditionHeight = input({ inputmode: "numeric", placeholder: "unchanged" });
  const renditionFields = el(
    "div",
    { class: "fields" },
    field("Codec", codec),
    field("Maximum height", renditionHeight),
  );
  const metadata = el("textarea", { rows: 3, spellcheck: "false", placeholder: '{"user": 7}' });

  function draw() {
    const [, label, example, hint] = SELECTIONS[selection.value];
    amountField.hidden = !label;
    if (label) {
      amountField.firstChild.textContent = label;
      amountField.lastChild.textContent = hint;
      if (amount.dataset.for !== selection.value) amount.value = example;
    }
    amount.dataset.for = selection.value;
    renditionFields.hidden = !rendition.box.checked;
  }
  amount.dataset.for = "fps";
  draw();
  const group = (title, ...content) => el("fieldset", { class: "group" }, el("legend", null, title), content);
  const node = el(
    "div",
    { class: "stack" },
    group(
      "Frames",
      el(
        "div",
        { class: "fields" },
        field("Selection", selection),
        amountField,
        field("Start", start),
        field("End", end),
      ),
    ),
    group(
      "Pictures",
      el(
        "div",
        { class: "fields" },
        field("Format", format),
        field("Quality", quality),
        field("Maximum width", width),
        field("Maximum height", height),
      ),
      damage.node,
    ),
    group(
      "Additional outputs",
      el("div", { class: "checks" }, storyboard.node, sheet.node, preview.node, rendition.node),
      renditionFields,
    ),
    group("For the client", field("Client metadata", metadata, "Any JSON value; the notification repeats it.")),
  );
  return {
    node,
    values: () => ({
      selection: selection.value,
      amount: amount.value.trim(),
      start: start.value.trim(),
      end: end.value.trim(),
      format: format.value,
      quality: quality.value.trim(),
      max_width: width.value.trim(),
      max_height: height.value.trim(),
      storyboard: storyboard.box.checked,
      sheet: sheet.box.checked,
      preview: preview.box.checked,
      damage: damage.box.checked,
      rendition: rendition.box.checked,
      codec: codec.value,
      rendition_height: renditionHeight.value.trim(),
      metadata: metadata.value,
    }),
  };
}
