/** The sheet about this device in the settings panel: facts, two measurements, and a way to share them. */
import { copyText, h } from '../dom.js';
import { notify } from '../dialogs.js';
import { megabytes, say } from './words.js';

/** @param {any} engine */
export function drawSheet(engine) {
  const list = h('dl', { class: 'sheet', id: 'device-sheet' });
  const status = h('p', { class: 'hint', role: 'status', text: say('hint') });
  const buttons = h('div', { class: 'buttons' });
  const draw = () => {
    const row = ([label, value]) => [h('dt', { text: label }), h('dd', { text: value })];
    list.replaceChildren(...Object.entries(lines(engine)).flatMap(row));
  };
  const idle = () => buttons.replaceChildren(
    button('run30', () => measure(30), 'measure-30'),
    button('run300', () => measure(300), 'measure-300'),
    button('share', () => share(report(engine)), 'share-sheet'),
  );
  const measure = async (seconds) => {
    buttons.replaceChildren(button('cancel', () => engine.measure.stop?.abort(), 'measure-stop'));
    try {
      await engine.measure.run(seconds, (left, rate) => {
        status.textContent = say('running', { left: Math.ceil(left), speed: rate.toFixed(1) });
      });
      status.textContent = say('hint');
    } catch (error) {
      status.textContent = error.detail ?? String(error.message);
    }
    draw();
    idle();
  };
  draw();
  idle();
  engine.onFacts = draw;
  return h('section', { id: 'device' }, h('h3', { text: say('title') }), list, buttons, status);
}

function button(name, press, id) {
  return h('button', { type: 'button', class: 'button', id, text: say(name), onclick: press });
}

/** What the sheet says, label to value. @param {any} engine */
export function lines(engine) {
  const { config, facts, last, measure } = engine;
  const build = say(facts.build === 'compat' ? 'buildCompat' : 'buildDefault');
  const yes = (value) => say(value ? 'yes' : 'no');
  const shown = {
    [say('model')]: `${config.name}, ${megabytes(config.model.bytes)} MB`,
    [say('memoryUse')]: `${megabytes(engine.memory)} MB`,
    [say('build')]: `wllama ${config.wllama}, ${build}, ${say('threads', { count: facts.threads })}`,
  };
  if (config.bundled) shown[say('app')] = say('untested');
  else Object.assign(shown, { [say('open')]: yes(facts.offline), [say('lasting')]: yes(facts.lasting) });
  const first = last.firstTokenMs;
  if (first !== null) shown[say('first')] = say('seconds', { seconds: (first / 1000).toFixed(2) });
  if (last.tokensPerSecond) shown[say('speed')] = say('perSecond', { speed: last.tokensPerSecond.toFixed(1) });
  for (const [seconds, run] of Object.entries(measure.runs)) {
    const values = { speed: run.rate.toFixed(1), first: run.firstRate.toFixed(1), last: run.lastRate.toFixed(1) };
    shown[say(seconds === '30' ? 'run30' : 'run300')] = say('sustained', values);
  }
  return shown;
}

/** Everything measured here, for people who compare devices. @param {any} engine */
export function report(engine) {
  const { config, facts, last, measure } = engine;
  return {
    app: 'dotori',
    date: new Date().toISOString(),
    model: { name: config.name, bytes: config.model.bytes, sha256: config.model.sha256 },
    engine: { wllama: config.wllama, build: facts.build, threads: facts.threads, context: facts.context },
    device: {
      agent: navigator.userAgent,
      cores: navigator.hardwareConcurrency ?? null,
      memoryGiB: /** @type {any} */ (navigator).deviceMemory ?? null,
      memoryEstimateBytes: engine.memory,
    },
    last,
    runs: measure.runs,
  };
}

async function share(found) {
  const text = JSON.stringify(found, null, 2);
  try {
    if (navigator.share) return await navigator.share({ title: 'Dotori', text });
  } catch (error) {
    if (error.name === 'AbortError') return undefined;
  }
  if (await copyText(text)) notify(say('copied'));
  return undefined;
}
