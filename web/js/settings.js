/** The settings panel: how the model answers, how the page looks, what is kept. */
import { byId, h } from './dom.js';
import { FRESH_SETTINGS } from './store.js';

/** Name, smallest, largest, step; whole numbers have step 1. */
const FIELDS = [
  ['temperature', 0, 2, 0.1],
  ['top_p', 0.01, 1, 0.05],
  ['top_k', 0, 100000, 1],
  ['min_p', 0, 1, 0.01],
  ['max_tokens', 1, 131072, 1],
  ['seed', 0, 2147483647, 1],
];

/**
 * @typedef {object} SettingsActions
 * @property {(changed: object) => void} change
 * @property {() => void} exportAll
 * @property {(file: File) => void} importFile
 * @property {() => void} erase
 * @property {() => Promise<{label: string, value: string}[]>} sheet
 * @property {() => HTMLElement|undefined} [panel]
 */

export class SettingsPanel {
  /** @param {import('./strings.js').Words} words @param {SettingsActions} actions */
  constructor(words, actions) {
    this.words = words;
    this.actions = actions;
    this.body = byId('settings-body');
  }

  /** @param {typeof FRESH_SETTINGS} settings @param {number} temperature what the mode takes by itself */
  async show(settings, temperature) {
    const { words } = this;
    const automatic = { temperature: String(temperature) };
    const fields = FIELDS.map(([name, low, high, step]) => this.number(
      name,
      low,
      high,
      step,
      settings[name],
      automatic[name],
    ));
    const reset = h(
      'button',
      {
        type: 'button',
        class: 'link-button',
        text: words.say('settings.reset'),
        onclick: () => this.reset(settings, temperature),
      },
    );
    this.body.replaceChildren(
      this.section(
        'settings.sampling',
        h('div', { class: 'field-grid' }, ...fields),
        this.system(settings.system),
        reset,
      ),
      this.section(
        'settings.look',
        this.choice(
          'theme',
          ['system', 'light', 'dark'],
          settings.theme,
          (name) => words.say(`settings.theme.${name}`),
        ),
        this.choice(
          'language',
          ['system', 'ko', 'en'],
          settings.language,
          (name) => ({ ko: '한국어', en: 'English' })[name] ?? words.say('settings.language.system'),
        ),
      ),
      this.section('settings.data', this.data(), h('p', { class: 'hint', text: words.say('app.private') })),
      this.actions.panel?.() ?? '',
    );
    await this.about();
  }

  section(name, ...children) {
    return h('section', {}, h('h3', { text: this.words.say(name) }), ...children);
  }

  number(name, low, high, step, value, automatic) {
    const { words } = this;
    const help = words.say(`settings.${name}.help`);
    const input = h('input', {
      type: 'number',
      class: 'field',
      id: `setting-${name}`,
      min: low,
      max: high,
      step: step < 1 ? 'any' : 1,
      inputmode: step < 1 ? 'decimal' : 'numeric',
      placeholder: automatic ? `${words.say('settings.automatic')} (${automatic})` : words.say('settings.automatic'),
      'aria-describedby': `help-${name}`,
    });
    input.value = value ?? '';
    input.addEventListener('change', () => {
      const number = input.value === '' ? null : Math.min(Math.max(Number(input.value), low), high);
      const kept = number === null || Number.isNaN(number) ? null : step === 1 ? Math.round(number) : number;
      input.value = kept ?? '';
      this.actions.change({ [name]: kept });
    });
    const label = h('label', { for: input.id, text: words.say(`settings.${name}`) });
    return h('div', { class: 'setting' }, label, input, h('small', { id: `help-${name}`, text: help }));
  }

  system(value) {
    const box = h(
      'textarea',
      { class: 'field', id: 'setting-system', rows: 3, maxlength: 8000, 'aria-describedby': 'help-system' },
    );
    box.value = value;
    box.addEventListener('change', () => this.actions.change({ system: box.value }));
    const label = h('label', { for: box.id, text: this.words.say('settings.system') });
    return h(
      'div',
      { class: 'setting' },
      label,
      box,
      h('small', { id: 'help-system', text: this.words.say('settings.system.help') }),
    );
  }

  choice(name, values, value, labelOf) {
    const options = values.map((one) => {
      const input = h(
        'input',
        {
          type: 'radio',
          name,
          value: one,
          class: 'hidden-visually',
          onchange: () => this.actions.change({ [name]: one }),
        },
      );
      input.checked = one === value;
      return h('label', { class: 'segment' }, input, h('span', { text: labelOf(one) }));
    });
    const legend = h('legend', { text: this.words.say(`settings.${name}`) });
    return h('fieldset', { class: 'setting' }, legend, h('div', { class: 'segments' }, ...options));
  }

  data() {
    const { words, actions } = this;
    const file = h(
      'input',
      {
        type: 'file',
        accept: '.json,application/json',
        class: 'hidden-visually',
        tabindex: '-1',
        'aria-hidden': 'true',
      },
    );
    file.addEventListener('change', () => {
      if (file.files[0]) actions.importFile(file.files[0]);
      file.value = '';
    });
    const button = (name, press, kind = '') => h(
      'button',
      { type: 'button', class: `button ${kind}`, text: words.say(name), onclick: press },
    );
    return h(
      'div',
      { class: 'buttons' },
      button('settings.export', actions.exportAll),
      button('settings.import', () => file.click()),
      button('settings.erase', actions.erase, 'button-danger'),
      file,
    );
  }

  async about() {
    const lines = await this.actions.sheet();
    const rows = lines.flatMap(({ label, value }) => [h('dt', { text: label }), h('dd', { text: value })]);
    this.body.querySelector('#about')?.remove();
    if (rows.length === 0) return;
    const section = this.section('settings.about', h('dl', { class: 'sheet' }, ...rows));
    section.id = 'about';
    this.body.append(section);
  }

  reset(settings, temperature) {
    const names = [...FIELDS.map(([name]) => name), 'system'];
    const fresh = Object.fromEntries(names.map((name) => [name, FRESH_SETTINGS[name]]));
    this.actions.change(fresh);
    this.show({ ...settings, ...fresh }, temperature);
  }
}
