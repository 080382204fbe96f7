/** The screen before an engine that is downloaded or loaded: one clear line, a bar, and a way on when it fails. */
import { h } from './dom.js';
import { acorn } from './icons.js';

const MB = 1_000_000;
const QUICK_MS = 300; // an engine that is ready by then shows nothing

/**
 * Waits until the engine is ready, however often the user has to try.
 * @param {import('./shapes.js').Engine} engine
 * @param {import('./strings.js').Words} words
 */
export async function prepareEngine(engine, words) {
  const stage = h('p', { role: 'status' });
  const bar = h('progress', { class: 'bar', max: '1', 'aria-label': words.say('prepare.load') });
  const more = h('div', {});
  const dialog = h('dialog', { class: 'prepare', 'aria-label': words.say('app.name') }, acorn(), stage, bar, more);
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  document.body.append(dialog);
  const timer = setTimeout(() => dialog.showModal(), QUICK_MS);
  for (;;) {
    try {
      await engine.prepare((progress) => show(progress, words, stage, bar));
      break;
    } catch (error) {
      clearTimeout(timer);
      if (!dialog.open) dialog.showModal();
      await tryAgain(error, words, stage, bar, more);
    }
  }
  clearTimeout(timer);
  dialog.remove();
}

function show({ stage, loaded, total, rate }, words, text, bar) {
  const size = (bytes) => (bytes / MB).toFixed(1);
  const bytes = loaded && total ? words.say('prepare.bytes', { loaded: size(loaded), total: size(total) }) : '';
  const speed = rate ? words.say('prepare.rate', { rate: size(rate) }) : '';
  text.textContent = `${words.say(`prepare.${stage}`)} ${bytes}${speed}`;
  if (loaded !== undefined && total) bar.value = loaded / total;
  else bar.removeAttribute('value');
}

function tryAgain(error, words, stage, bar, more) {
  stage.textContent = words.say(`error.${error.kind ?? 'unknown'}`);
  bar.hidden = true;
  const text = words.say(error.kind === 'ask' ? 'prepare.start' : 'retry');
  const button = h('button', { type: 'button', class: 'button button-main', text });
  more.replaceChildren(h('p', { class: 'hint', text: error.detail ?? String(error.message) }), button);
  return new Promise((resolve) => {
    button.addEventListener('click', () => {
      more.replaceChildren();
      bar.hidden = false;
      resolve(undefined);
    });
  });
}
