// Talking to the viewer's own routes. Traces and bodies are kept, so that going back is instant.

/** A refusal or failure with a sentence for the reader. */
export class NetError extends Error {
  /** @param {number} status @param {string} message @param {string} [hint] */
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint ?? "";
  }
}

/** @param {string} path @param {Record<string, string|number|null|undefined>} params @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, params, signal) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value != null && value !== "") query.set(key, String(value));
  const text = query.toString();
  let answer;
  try {
    answer = await fetch(text ? `${path}?${text}` : path, { signal, headers: {} });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new NetError(0, "The viewer does not answer.", "Is `spanreel view` still running? This page reconnects by itself.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new NetError(answer.status, body.error ?? `The viewer answered ${answer.status}.`, body.hint);
  return body;
}

/** A small cache that forgets what was used longest ago. @template T */
export class Recent {
  /** @param {number} limit */
  constructor(limit) {
    this.limit = limit;
    /** @type {Map<string, T>} */
    this.items = new Map();
  }
  /** @param {string} key @returns {T|undefined} */
  get(key) {
    const item = this.items.get(key);
    if (item !== undefined) {
      this.items.delete(key);
      this.items.set(key, item);
    }
    return item;
  }
  /** @param {string} key @param {T} item */
  set(key, item) {
    this.items.delete(key);
    this.items.set(key, item);
    const oldest = this.items.keys().next();
    if (this.items.size > this.limit && !oldest.done) this.items.delete(oldest.value);
  }
  /** @param {string} key */
  drop(key) {
    this.items.delete(key);
  }
}

/** @type {Recent<Promise<any>>} */
const traces = new Recent(12);

/** One trace; a finished one is kept. @param {string} id @param {{fresh?: boolean}} [options] @returns {Promise<any>} */
export function trace(id, { fresh = false } = {}) {
  const kept = fresh ? undefined : traces.get(id);
  if (kept) return kept;
  const asked = get("/api/trace", { trace: id });
  traces.set(id, asked);
  asked.then(
    (payload) => payload.trace?.state === "running" && traces.drop(id),
    () => traces.drop(id),
  );
  return asked;
}

/** Answers "did anything change since", without ever running twice at once. */
export class Watch {
  /** @param {() => void} changed @param {number} [everyMs] */
  constructor(changed, everyMs = 600) {
    this.token = /** @type {string|null} */ (null);
    this.changed = changed;
    this.every = everyMs;
    this.stopped = false;
    this.failing = false;
    this.timer = 0;
    this.again();
  }
  /** What was read last is as of this token: without it, what came before the first look would go unseen. @param {string|undefined} token */
  since(token) {
    if (this.token === null && token) this.token = token;
  }
  again() {
    this.timer = window.setTimeout(() => this.look(), this.failing ? this.every * 3 : this.every);
  }
  async look() {
    try {
      if (!document.hidden) {
        const { token } = await get("/api/changes", {});
        if (this.stopped) return;
        const moved = (this.token !== null && token !== this.token) || this.failing;
        this.token = token;
        this.failing = false;
        if (moved) this.changed();
      }
    } catch {
      this.failing = true;
    }
    if (!this.stopped) this.again();
  }
  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}
