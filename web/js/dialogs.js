/** Short questions to the user, and notices that go away by themselves. */
import { byId, h } from './dom.js';

const NOTICE_MS = 6000;

/**
 * Shows a modal dialog until it closes.
 * @param {string} title
 * @param {(Node|string)[]} content
 * @param {{label: string, value: string, danger?: boolean}[]} buttons the last one is what Enter does
 * @param {Record<string, any>} [props]
 * @returns {Promise<string>} the value of the button, '' when dismissed
 */
export function showDialog(title, content, buttons, props = {}) {
  const foot = buttons.map(({ label, value, danger }, index) =>
    h('button', {
      type: index === buttons.length - 1 ? 'submit' : 'button',
      class: `button ${index === buttons.length - 1 ? 'button-main' : ''} ${danger ? 'button-danger' : ''}`,
      onclick: () => dialog.close(value),
      text: label,
    }),
  );
  const heading = h('h2', { id: 'dialog-title', text: title });
  const form = h(
    'form',
    { method: 'dialog' },
    heading,
    h('div', { class: 'dialog-body' }, ...content),
    h('div', { class: 'dialog-foot' }, ...foot),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', ...props }, form);
  document.body.append(dialog);
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close(''));
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/**
 * Asks for one line of text.
 * @param {import('./strings.js').Words} words
 * @param {{title: string, text?: string, label: string, value?: string, type?: string, submit: string}} question
 * @returns {Promise<string|null>} null when dismissed
 */
export async function askLine(words, { title, text, label, value = '', type = 'text', submit }) {
  const input = h(
    'input',
    {
      type,
      class: 'field',
      'aria-label': label,
      autocomplete: 'off',
      spellcheck: 'false',
      autofocus: true,
      maxlength: 2000,
    },
  );
  input.value = value;
  const body = [text && h('p', { text }), input].filter(Boolean);
  const pressed = await showDialog(title, body, [
    { label: words.say('cancel'), value: '' },
    { label: submit, value: 'yes' },
  ]);
  return pressed === 'yes' ? input.value : null;
}

/**
 * A notice at the foot of the page, with an action if there is one.
 * @param {string} text
 * @param {{label: string, act: () => void}} [action]
 */
export function notify(text, action) {
  const notice = h('div', { class: 'notice' }, h('span', { text }));
  if (action) {
    const press = () => {
      notice.remove();
      action.act();
    };
    notice.append(h('button', { type: 'button', class: 'link-button', text: action.label, onclick: press }));
  }
  byId('notices').replaceChildren(notice);
  setTimeout(() => notice.remove(), NOTICE_MS);
}

/** Says something to a screen reader only. @param {string} text */
export function announce(text) {
  byId('announcer').textContent = text;
}
