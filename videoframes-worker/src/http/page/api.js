// Requests to the HTTP API of vf-worker.

import { learnClock } from "./format.js";
import { encode } from "./terms.js";

const BASE = "/api/v1";
const TIMEOUT_MS = 30000;
let unauthorized = () => {};

// Sets the function that is called if the server needs a token.
export function onUnauthorized(call) {
  unauthorized = call;
}

// An answer of the server that is an error, or no answer (status 0).
export class Problem extends Error {
  constructor(status, detail, code = null, retryAfter = null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

const TITLES = {
  401: "A token is required.",
  403: "The token lacks the scope for this action.",
  404: "Not found.",
  409: "Not possible in this state.",
  413: "The upload is too large.",
  415: "This type of content is not accepted.",
  429: "Too many requests.",
  503: "The server is temporarily unavailable.",
  507: "The server has no space left.",
};

// Returns the problem of an answer.
export function problem(status, text, retryAfter) {
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy answered, not vf-worker.
  }
  const detail = [body?.detail, body?.title].find((part) => typeof part === "string" && part);
  const seconds = Number.parseFloat(retryAfter ?? "");
  return new Problem(
    status,
    detail ?? TITLES[status] ?? `The server answered with status ${status}.`,
    typeof body?.code === "string" ? body.code : null,
    Number.isFinite(seconds) ? seconds : null,
  );
}

// Returns the address of an endpoint. Every part is encoded.
export function address(parts, query) {
  const path = [BASE, ...parts.map(encode)].join("/");
  const search = new URLSearchParams(
    Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  );
  return search.size ? `${path}?${search}` : path;
}

async function send(method, url, { body, headers = {}, signal, login = false } = {}) {
  const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  let answer;
  let text;
  try {
    answer = await fetch(url, {
      method,
      signal: AbortSignal.any(signals),
      credentials: "same-origin",
      redirect: "follow",
      cache: "no-store",
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    learnClock(answer.headers.get("Date"));
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(
      0,
      error.name === "TimeoutError" ? "The server did not answer within 30 seconds." : "The server cannot be reached.",
    );
  }
  if (answer.ok) return text;
  const failure = problem(answer.status, text, answer.headers.get("Retry-After"));
  if (answer.status === 401 && !login) unauthorized();
  throw failure;
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw new Problem(0, "The server answered with invalid JSON.");
  }
}

// GET of JSON.
export async function get(parts, { query, signal, login } = {}) {
  return parsed(await send("GET", address(parts, query), { signal, login }));
}

// GET of a text, such as WebVTT.
export async function getText(parts, { query, signal } = {}) {
  return send("GET", address(parts, query), { signal, headers: { Accept: "*/*" } });
}

export async function post(parts, body, { signal, headers, login } = {}) {
  return parsed(await send("POST", address(parts), { body, signal, headers, login }));
}

export async function remove(parts) {
  return send("DELETE", address(parts));
}

// Uploads a file with progress, which fetch does not report.
export function upload(file, { onprogress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", address(["uploads"], { name: file.name || "video" }));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onprogress(event.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) {
        try {
          resolve(parsed(request.responseText));
        } catch (error) {
          reject(error);
        }
        return;
      }
      if (request.status === 401) unauthorized();
      reject(problem(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem(0, "The connection was lost, or the server ended the upload."));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(file);
  });
}
