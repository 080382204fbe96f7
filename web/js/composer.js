/**
 * The message box, and the rule of the Enter key that Hangul needs.
 *
 * A Korean keyboard is composing its last syllable nearly always when Enter comes. Chrome then reports Enter while
 * composing (isComposing, keyCode 229), ends the composition, and may or may not report Enter a second time; Safari
 * ends the composition first and reports Enter as 229 afterwards. Sending at the first report takes the text before its
 * last syllable is in, or leaves that syllable behind to be sent again; ignoring every Enter of a composition makes
 * people press it twice. So: Enter during Hangul is a wish to send, fulfilled once when the composition has ended; a
 * second report finds an empty box. Enter during anything else (kana, Hanja or pinyin candidates) picks a candidate and
 * sends nothing.
 */
import { iconButton } from './dom.js';
import { icon, stopIcon } from './icons.js';

const HANGUL = /^[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\s.,!?~]*$/;
const SAME_KEY_MS = 60; // between the end of a composition and the Enter that ended it, in Safari
const LOST_MS = 400; // a composition that has not ended by then was not ended by this Enter

/**
 * Calls `send` for Enter in a text box by the rule above. Shift+Enter stays a new line, and so does Enter where there
 * is no real keyboard.
 * @param {HTMLTextAreaElement} box
 * @param {() => void} send
 * @returns {{sendNow: () => void}} for the button: it too waits for the syllable
 */
export function sendOnEnter(box, send) {
  let composing = false;
  let composed = '';
  let endedAt = -Infinity;
  let wanted = false;
  const fulfil = () => {
    if (!wanted) return;
    wanted = false;
    send();
  };
  const wish = () => {
    wanted = true;
    setTimeout(() => {
      wanted = false;
    }, LOST_MS);
  };
  box.addEventListener('compositionstart', () => {
    composing = true;
    composed = '';
  });
  box.addEventListener('compositionupdate', (event) => {
    composed = event.data ?? '';
  });
  box.addEventListener('compositionend', (event) => {
    composing = false;
    composed = event.data || composed;
    endedAt = event.timeStamp;
    // The last syllable is in the box only after the event that follows this one. A candidate that was picked is no
    // longer Hangul, and then Enter meant the candidate.
    if (wanted && HANGUL.test(composed)) setTimeout(fulfil);
    else wanted = false;
  });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || noKeyboard()) return;
    if (event.isComposing || composing) {
      if (HANGUL.test(composed)) wish();
      return;
    }
    const endedByThis = event.keyCode === 229 && event.timeStamp - endedAt < SAME_KEY_MS;
    if (event.keyCode === 229 && !(endedByThis && HANGUL.test(composed))) return;
    event.preventDefault();
    wanted = false;
    send();
  });
  box.addEventListener('beforeinput', (event) => {
    // The new line that some systems add for the Enter which ended a composition.
    if (wanted && ['insertLineBreak', 'insertParagraph'].includes(event.inputType)) event.preventDefault();
  });
  const sendNow = () => {
    if (!composing) return send();
    wish();
    box.blur();
    return undefined;
  };
  return { sendNow };
}

function noKeyboard() {
  return matchMedia('(pointer: coarse) and (hover: none)').matches;
}

/** The form at the foot of the page. */
export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {import('./strings.js').Words} words
   * @param {{send: (text: string) => boolean, stop: () => void}} actions `send` is true when the text was taken
   */
  constructor(form, words, actions) {
    this.words = words;
    this.actions = actions;
    this.box = form.querySelector('textarea');
    this.button = form.querySelector('#send');
    this.running = false;
    const rule = sendOnEnter(this.box, () => this.send());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.running) actions.stop();
      else rule.sendNow();
    });
    // Keeps the keyboard of a phone up, and the composition whole, while the button is touched.
    this.button.addEventListener('pointerdown', (event) => event.preventDefault());
    this.box.addEventListener('input', () => this.resize());
    this.setRunning(false);
  }

  send() {
    if (this.running || this.box.value.trim() === '') return;
    if (this.actions.send(this.box.value)) this.fill('');
  }

  /** @param {string} text */
  fill(text) {
    this.box.value = text;
    this.resize();
  }

  /** @param {boolean} running whether an answer is being written */
  setRunning(running) {
    this.running = running;
    const label = this.words.say(running ? 'stop' : 'send');
    this.button.replaceChildren(running ? stopIcon() : icon('send'));
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.button.classList.toggle('running', running);
    this.resize();
  }

  /** The box grows with its text up to a third of the page. */
  resize() {
    this.box.style.height = 'auto';
    this.box.style.height = `${Math.min(this.box.scrollHeight, innerHeight / 3)}px`;
    this.button.disabled = !this.running && this.box.value.trim() === '';
  }

  focus() {
    this.box.focus({ preventScroll: true });
  }
}

/**
 * A small editor in the place of a question.
 * @param {string} text
 * @param {import('./strings.js').Words} words
 * @param {(text: string|null) => void} done null when left unchanged
 * @returns {{element: HTMLElement, box: HTMLTextAreaElement}}
 */
export function questionEditor(text, words, done) {
  const box = document.createElement('textarea');
  box.value = text;
  box.rows = Math.min(8, text.split('\n').length + 1);
  box.className = 'field';
  box.setAttribute('aria-label', words.say('question.edit'));
  const finish = () => box.value.trim() && done(box.value);
  const rule = sendOnEnter(box, finish);
  box.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.isComposing) done(null);
  });
  const element = document.createElement('div');
  element.className = 'question-editor';
  const cancel = iconButton(icon('close'), words.say('cancel'), () => done(null));
  const send = iconButton(icon('send'), words.say('send'), () => rule.sendNow(), { class: 'icon-button icon-main' });
  element.append(box, cancel, send);
  return { element, box };
}
