/** Keeps the message box above a phone's keyboard: the page is as high as what can be seen of it. */

export function followKeyboard() {
  const view = globalThis.visualViewport;
  if (!view) return;
  const fit = () => {
    // Zoomed in by the reader: the page keeps its size, and they move over it.
    if (view.scale > 1.01) return;
    document.documentElement.style.setProperty('--height', `${Math.round(view.height)}px`);
    document.body.classList.toggle('keyboard', innerHeight - view.height > 120);
    scrollTo(0, 0);
  };
  view.addEventListener('resize', fit);
  view.addEventListener('scroll', fit);
  fit();
}
