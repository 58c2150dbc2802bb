// Runs before the first paint, so that the page does not flash in the other theme.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage can be disabled; the page then follows the system.
  }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
