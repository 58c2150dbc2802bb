// Routes in the hash of the address, such as #/jobs?status=failed: reload, links and the back button work.

// Returns the parts of the path and the query of the current route.
export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path
    .split("/")
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  return { parts, query: new URLSearchParams(query) };
}

// Returns the hash of a route. Entries without a value are left out.
export function hashOf(path, query) {
  const search = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value));
  return `#/${path}${search.size ? `?${search.toString().replaceAll("%2C", ",")}` : ""}`;
}

export function go(path, query) {
  location.hash = hashOf(path, query);
}

// Changes the query without a new entry in the history and without an event.
export function replaceQuery(path, query) {
  history.replaceState(null, "", hashOf(path, query));
}
