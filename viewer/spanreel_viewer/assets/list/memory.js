// What the list remembers while another page is open: modules live as long as the document does.
import { href } from "../url.js";

/** @type {{ids: string[], query: Record<string, string>, scroll: number, current: string}} */
export const kept = { ids: [], query: {}, scroll: 0, current: "" };

/** The trace that was looked at last is the row to return to. @param {string} id */
export function opened(id) {
  kept.current = id;
}

/** The address of the list as it was left. */
export function backTo() {
  return href("/", kept.query);
}

/** The next older (1) or newer (-1) trace. @param {string} id @param {1|-1} by @param {(path: string, params: Record<string, any>) => Promise<any>} get @returns {Promise<string|null>} */
export async function neighbour(id, by, get) {
  let at = kept.ids.indexOf(id);
  if (at < 0 || !kept.ids[at + by]) {
    const ids = [];
    let offset = 0;
    for (let page = 0; page < 5; page++) {
      const answer = await get("/api/traces", { ...kept.query, offset, limit: 200 }).catch(() => null);
      if (!answer) break;
      ids.push(...answer.rows.map((/** @type {any} */ row) => row.trace_id));
      if (ids.indexOf(id) >= 0 && ids.indexOf(id) < ids.length - 1) break;
      if (answer.rows.length < 200) break;
      offset += 200;
    }
    if (ids.length) kept.ids = ids;
    at = kept.ids.indexOf(id);
  }
  return at < 0 ? null : (kept.ids[at + by] ?? null);
}
