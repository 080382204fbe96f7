/* Before the first paint, so that no page flashes in the wrong colours: a classic script, the only one. */
(() => {
  let theme = 'system';
  try {
    theme = JSON.parse(localStorage.getItem('dotori.settings') || '{}').theme || 'system';
  } catch {
    // Nothing readable is kept: the system's theme.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
