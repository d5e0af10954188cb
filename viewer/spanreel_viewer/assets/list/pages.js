// The rows of a list that may hold a million: pages fetched as they come into view. Pure but for `load`.

export const PAGE = 100;

/** @typedef {{rows: any[], total: number, token?: string}} Answer */

export class Pages {
  /** @param {(offset: number, limit: number, signal: AbortSignal) => Promise<Answer>} load @param {() => void} arrived @param {(error: any) => void} failed */
  constructor(load, arrived, failed) {
    this.load = load;
    this.arrived = arrived;
    this.failed = failed;
    /** @type {Map<number, any[]>} */
    this.held = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    this.total = -1;
    this.abort = new AbortController();
  }

  /** @param {number} index */
  row(index) {
    return this.held.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Ask for the pages of these rows. @param {number} first @param {number} last */
  want(first, last) {
    for (let page = Math.floor(Math.max(first, 0) / PAGE); page <= Math.floor(Math.max(last, 0) / PAGE); page++) {
      if (this.held.has(page) || this.asked.has(page) || (this.total >= 0 && page > 0 && page * PAGE >= this.total)) continue;
      this.fetch(page);
    }
  }

  /** @param {number} page */
  async fetch(page) {
    this.asked.add(page);
    const { signal } = this.abort;
    try {
      const answer = await this.load(page * PAGE, PAGE, signal);
      if (signal.aborted) return;
      this.held.set(page, answer.rows);
      this.total = answer.total;
      this.arrived();
    } catch (error) {
      if (!signal.aborted) this.failed(error);
    } finally {
      this.asked.delete(page);
    }
  }

  /** Forget everything and begin anew; what is on show may stay until the new rows are here. */
  reset() {
    this.abort.abort();
    this.abort = new AbortController();
    this.held.clear();
    this.asked.clear();
    this.total = -1;
  }

  /**
   * The same query again: the pages in view are replaced, others are forgotten. Returns how many rows were put on top.
   * @param {number} first @param {number} last @returns {Promise<number>}
   */
  async renew(first, last) {
    const { signal } = this.abort;
    const before = this.total;
    const pages = new Set([0]);
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) pages.add(page);
    const fresh = new Map();
    let total = before;
    for (const page of pages) {
      const answer = await this.load(page * PAGE, PAGE, signal);
      if (signal.aborted) return 0;
      fresh.set(page, answer.rows);
      total = answer.total;
    }
    this.held = fresh;
    this.total = total;
    return before < 0 ? 0 : Math.max(total - before, 0);
  }

  /** Ids of the rows held, in order, without holes at the front. */
  ids() {
    const ids = [];
    for (const page of [...this.held.keys()].sort((a, b) => a - b)) ids.push(.../** @type {any[]} */ (this.held.get(page)).map((row) => row.trace_id));
    return ids;
  }

  /** Index of a trace among the rows held. @param {string} id */
  find(id) {
    for (const [page, rows] of this.held) {
      const at = rows.findIndex((row) => row.trace_id === id);
      if (at >= 0) return page * PAGE + at;
    }
    return -1;
  }
}
