// Runs before Streamlit's own code: the chosen theme without a flash, and the base address, so that a
// page below "/" does not ask for it in vain.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("spanreel.theme");
  } catch {
    // Storage may be shut (private window): the system's theme then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  window.__streamlit = { BACKEND_BASE_URL: location.origin + "/" };
})();
