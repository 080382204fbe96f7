/** A panel at the side: beside the page where there is room, over it where there is not. */
import { byId } from './dom.js';

export class Drawer {
  /**
   * @param {string} id of the panel
   * @param {string} wide a media query: there it stands beside the page
   * @param {HTMLElement[]} openers
   * @param {boolean} open whether it begins open where there is room
   */
  constructor(id, wide, openers, open) {
    this.panel = byId(id);
    this.wide = matchMedia(wide);
    this.openers = openers;
    this.beside = open;
    openers.forEach((opener) => opener.addEventListener('click', () => this.toggle()));
    this.panel.querySelector('[data-close]').addEventListener('click', () => this.set(false));
    this.panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.isOver) this.set(false);
    });
    byId('shade').addEventListener('click', () => this.set(false));
    this.wide.addEventListener('change', () => this.place());
    this.place();
  }

  get isOver() {
    return !this.wide.matches && this.isOpen;
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** After the page became wider or narrower. */
  place() {
    this.set(this.wide.matches && this.beside, false);
  }

  toggle() {
    this.set(!this.isOpen);
  }

  /** @param {boolean} open @param {boolean} [byUser] focus follows, and the choice is remembered */
  set(open, byUser = true) {
    if (byUser && this.wide.matches) this.beside = open;
    const wasOver = this.isOver;
    this.panel.hidden = !open;
    const over = this.isOver;
    document.body.classList.toggle(`has-${this.panel.id}`, open);
    if (over || wasOver) {
      byId('shade').hidden = !over;
      byId('main').inert = over;
    }
    this.openers.forEach((opener) => opener.setAttribute('aria-expanded', String(open)));
    if (!byUser) return;
    if (over) this.panel.querySelector('button, input')?.focus();
    else if (wasOver) this.openers[0]?.focus();
  }

  /** Gives the page back after a choice was made in a drawer over it. */
  closeIfOver() {
    if (this.isOver) this.set(false);
  }
}
