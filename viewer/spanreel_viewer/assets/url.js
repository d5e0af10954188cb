// The address bar is the state: going to a page pushes, choosing a span or a filter replaces.

/** @param {string} path @param {Record<string, string|null|undefined>} params */
export function href(path, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value) query.set(key, value);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** @param {string} name */
export function param(name) {
  return new URLSearchParams(location.search).get(name) ?? "";
}

/** Go to a page of this viewer without loading the document again: Streamlit follows the history event. @param {string} address */
export function navigate(address) {
  if (address === location.pathname + location.search) return;
  drop();
  history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

let waiting = 0;
/** @type {Record<string, string|null>} */
let pending = {};
/** Write parameters into the address of this page. Browsers limit how often, so a burst is written once. @param {Record<string, string|null>} params @param {number} [delay] */
export function replace(params, delay = 150) {
  clearTimeout(waiting);
  pending = { ...pending, ...params };
  const page = location.pathname;
  waiting = window.setTimeout(() => {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(pending)) {
      if (value) query.set(key, value);
      else query.delete(key);
    }
    pending = {};
    if (location.pathname !== page) return;
    const text = query.toString();
    const address = text ? `${page}?${text}` : page;
    if (address !== location.pathname + location.search) history.replaceState(history.state, "", address);
  }, delay);
}

/** What was to be written belongs to the page that is being left. */
export function drop() {
  clearTimeout(waiting);
  pending = {};
}

/** Follow a link inside the page, unless the person asks for a new tab. @param {MouseEvent} event @param {string} address */
export function follow(event, address) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(address);
}
