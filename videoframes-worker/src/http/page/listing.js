// The loaded part of the list of jobs, refreshed page by page. A page is a range of the order, newest job first,
// so that a refresh also finds the jobs that left the filter.

export const MAX_ROWS = 1000;
const FIRST_PAGE = 50;
const NEXT_PAGE = 100;

// Compares two jobs by the order of the list: newest first. Times have one format, so that their texts have the same
// order.
export function compare(a, b) {
  const [x, y] = [String(a.created_at), String(b.created_at)];
  if (x !== y) return x < y ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

// Creates an empty listing. `load({ limit, after })` requests a page.
export function listing(load) {
  const jobs = new Map();
  let pages = [{ after: null, next: null, last: null, loaded: false }];
  let turn = 0;
  let unreadable = [];

  // Loads a page again, and replaces the jobs of its range.
  async function refresh(index) {
    const page = pages[index];
    const answer = await load({ limit: index === 0 ? FIRST_PAGE : NEXT_PAGE, after: page.after });
    if (pages[index] !== page) return;
    const found = Array.isArray(answer?.jobs) ? answer.jobs.filter((job) => typeof job?.id === "string") : [];
    if (index === 0) unreadable = Array.isArray(answer?.unreadable) ? answer.unreadable : [];
    const upper = pages[index - 1]?.last ?? null;
    page.next = answer?.next ?? null;
    page.last = found.at(-1) ?? (page.next === null ? null : upper);
    page.loaded = true;
    const ids = new Set(found.map((job) => job.id));
    for (const [id, job] of jobs) {
      const below = upper === null || compare(upper, job) < 0;
      const above = page.next === null || (page.last !== null && compare(job, page.last) <= 0);
      if (below && above && !ids.has(id)) jobs.delete(id);
    }
    for (const job of found) jobs.set(job.id, job);
    if (page.next === null) {
      pages = pages.slice(0, index + 1);
    } else if (pages[index + 1]) {
      pages[index + 1].after = page.next;
    } else if (page.last !== null && [...jobs.values()].some((job) => compare(page.last, job) < 0)) {
      // New jobs pushed the pages towards older jobs: a further page covers the end.
      pages.push({ after: page.next, next: page.next, last: null, loaded: false });
    }
    trim();
  }

  // Removes the oldest jobs beyond the limit.
  function trim() {
    if (jobs.size <= MAX_ROWS) return;
    for (const job of sorted().slice(MAX_ROWS)) jobs.delete(job.id);
  }
  const sorted = () => [...jobs.values()].sort(compare);

  return {
    sorted,
    unreadable: () => unreadable,
    hasMore: () => pages.at(-1).next !== null,
    isFull: () => jobs.size >= MAX_ROWS,
    // Refreshes the newest page and, in turn, one of the others.
    async refresh() {
      await refresh(0);
      if (pages.length > 1) {
        turn = (turn % (pages.length - 1)) + 1;
        await refresh(turn);
      }
    },
    // Loads the next page. With a filter by text a page can be empty: continues until jobs were found.
    async more(signal) {
      const before = jobs.size;
      for (
        let tries = 0;
        tries < 20 && jobs.size === before && pages.at(-1).next !== null && !signal.aborted;
        tries += 1
      ) {
        pages.push({ after: pages.at(-1).next, next: pages.at(-1).next, last: null, loaded: false });
        try {
          await refresh(pages.length - 1);
        } catch (error) {
          pages.pop();
          throw error;
        }
      }
    },
  };
}
