// Formats numbers and times for readers. Every function accepts missing values.

export const NONE = "–";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const hundredths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const percentage = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// Difference of the server's clock to the clock of this machine, in milliseconds.
let offset = 0;

// Learns the clock of the server from the header `Date`, which has a resolution of one second.
export function learnClock(header) {
  const difference = Date.parse(header ?? "") - Date.now();
  offset = Math.abs(difference) > 3000 ? difference : 0;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (isNumber(value) ? whole.format(value) : NONE);
export const rate = (value) => (isNumber(value) ? hundredths.format(value) : NONE);
export const percent = (value) => (isNumber(value) ? percentage.format(value) : NONE);
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(value) : short.format(value)} ${units[unit]}`;
}

// Formats seconds: 80 ms, 4.2 s, 3 min 5 s, 2 h 4 min, 3 d 4 h.
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  seconds = Math.max(0, seconds);
  if (seconds < 0.9995) return `${whole.format(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${short.format(Math.round(seconds * 10) / 10)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${whole.format(Math.floor(s / 86400))} d ${Math.floor((s % 86400) / 3600)} h`;
}

// Formats a coarse age, for values that change every second.
export function age(seconds) {
  if (!isNumber(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400 * 2) return `${Math.floor(s / 3600)} h`;
  return `${whole.format(Math.floor(s / 86400))} d`;
}

// Formats a position in a video: 0:04.480, 1:02:03.000.
export function position(seconds) {
  if (!isNumber(seconds)) return NONE;
  const ms = Math.round(Math.abs(seconds) * 1000);
  const pad = (value, digits = 2) => String(value).padStart(digits, "0");
  const hours = Math.floor(ms / 3600000);
  const minutes = Math.floor(ms / 60000) % 60;
  const rest = `${pad(Math.floor(ms / 1000) % 60)}.${pad(ms % 1000, 3)}`;
  return `${seconds < 0 ? "-" : ""}${hours ? `${hours}:${pad(minutes)}` : minutes}:${rest}`;
}

// Returns milliseconds since 1970, or null.
export function parse(time) {
  const value = typeof time === "string" ? Date.parse(time) : time;
  return isNumber(value) ? value : null;
}

// Returns the seconds since a time, by the clock of the server.
export function since(time) {
  const value = parse(time);
  return value === null ? null : (Date.now() + offset - value) / 1000;
}

export function ago(time) {
  const seconds = since(time);
  if (seconds === null) return NONE;
  return seconds < -1 ? `in ${age(-seconds)}` : `${age(seconds)} ago`;
}

export function absolute(time) {
  const value = parse(time);
  return value === null ? NONE : moment.format(value);
}

// Returns the seconds from the first start of a job to its end, or until now.
export function jobSeconds(job) {
  const begun = parse(job.begun_at);
  if (begun === null) return null;
  const end = parse(job.finished_at);
  return end === null ? since(begun) : (end - begun) / 1000;
}
