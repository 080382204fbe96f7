/** One answer on the page: its text as it grows, its passages, and what it took. */
import { copyText, h, iconButton } from './dom.js';
import { icon, acorn } from './icons.js';
import { MarkdownView } from './markdown.js';
import { notify } from './dialogs.js';

/**
 * @typedef {object} AnswerActions
 * @property {() => void} again
 * @property {(step: number) => void} page to the previous or next answer of the same question
 * @property {(source: import('./shapes.js').Source) => void} openSource
 * @property {(kind: string) => void} retry
 */

export class AnswerView {
  /**
   * @param {import('./strings.js').Words} words
   * @param {import('./shapes.js').Answer} answer
   * @param {AnswerActions} actions
   */
  constructor(words, answer, actions) {
    this.words = words;
    this.answer = answer;
    this.actions = actions;
    this.text = h('div', { class: 'prose' });
    this.foot = h('div', { class: 'answer-foot' });
    this.waiting = h('p', { class: 'waiting' }, acorn(), h('span', { text: words.say('answer.waiting') }));
    this.element = h('div', { class: 'answer' }, this.text, this.foot);
    this.markdown = new MarkdownView(
      this.text,
      { cite: (number) => this.citation(number), codeHead: (language, text) => this.codeHead(language, text) },
    );
    this.pending = '';
    this.frame = 0;
    if (answer.state === 'running') this.text.append(this.waiting);
    else this.finish();
  }

  /** Takes a piece in; the page is drawn once a frame however many come. */
  append(piece) {
    this.pending += piece;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.pending) return;
    this.waiting.remove();
    this.markdown.append(this.pending);
    this.pending = '';
    this.onDraw?.();
  }

  /** The answer is complete: the rest of its text, notes, passages, actions. */
  finish(count = 1, active = 0, last = true) {
    if (!this.drawn) {
      this.drawn = true;
      if (this.waiting.isConnected || this.text.childNodes.length === 0) this.pending ||= this.answer.text;
      this.draw();
      this.waiting.remove();
      this.markdown.finish();
    }
    this.foot.replaceChildren(...[this.note(), this.sources(), this.bar(count, active, last)].filter(Boolean));
  }

  note() {
    const { state, error, text } = this.answer;
    if (state === 'error') return this.errorNote(error);
    if (state === 'nothing') return h('p', { class: 'note' }, this.words.say('documents.nothing'));
    if (text === '' && state === 'stop') return h('p', { class: 'note' }, this.words.say('answer.empty'));
    return null;
  }

  errorNote({ kind, detail }) {
    const retry = h(
      'button',
      { type: 'button', class: 'button', text: this.words.say('retry'), onclick: () => this.actions.retry(kind) },
    );
    const more = detail && h(
      'details',
      {},
      h('summary', { text: this.words.say('error.detail') }),
      h('p', { text: detail }),
    );
    return h(
      'div',
      { class: 'note note-error', role: 'alert' },
      h('p', { text: this.words.say(`error.${kind}`) }),
      retry,
      more,
    );
  }

  /** Chips of the passages: those the answer names or draws on first. */
  sources() {
    const { sources, text, state } = this.answer;
    if (sources.length === 0 || state === 'error') return null;
    const weight = (source) => (source.cited ? 2 : 0) + (source.supports ? 1 : 0);
    const chips = [...sources].sort((a, b) => weight(b) - weight(a) || a.number - b.number).map((source) => {
      const label = this.words.say('source.open', { number: source.number, name: source.document });
      const strong = weight(source) > 0;
      const hint = strong ? this.words.say('sources.found') : '';
      return h(
        'button',
        {
          type: 'button',
          class: `source ${strong ? 'source-strong' : ''}`,
          'aria-label': label,
          title: hint,
          onclick: () => this.actions.openSource(source),
        },
        h('span', { class: 'source-number', text: String(source.number) }),
        h('span', { class: 'source-name', text: source.document.split('/').pop() }),
        h('span', { class: 'source-place', text: source.place }),
      );
    });
    const unsure = text !== '' && !sources.some((source) => source.supports || source.cited);
    return h(
      'section',
      { class: 'sources', 'aria-label': this.words.say('sources.title') },
      h('h3', { text: this.words.say('sources.title') }),
      h('div', { class: 'source-list' }, ...chips),
      unsure && h('p', { class: 'note', text: this.words.say('sources.unsure') }),
    );
  }

  bar(count, active, last) {
    const { words } = this;
    const bar = h('div', { class: 'answer-bar' });
    if (this.answer.text) bar.append(iconButton(icon('copy'), words.say('answer.copy'), () => this.copy()));
    if (last && this.answer.state !== 'error') bar.append(iconButton(
      icon('again'),
      words.say('answer.again'),
      () => this.actions.again(),
      { 'data-act': 'again' },
    ));
    if (count > 1) {
      bar.append(
        iconButton(icon('left'), words.say('answer.previous'), () => this.actions.page(-1), { disabled: active === 0 }),
        h('span', { class: 'pager', text: words.say('answer.page', { active: active + 1, count }) }),
        iconButton(
          icon('right'),
          words.say('answer.next'),
          () => this.actions.page(1),
          { disabled: active === count - 1 },
        ),
      );
    }
    bar.append(h('span', { class: 'figures', text: this.figures() }));
    return bar;
  }

  /** Tokens, speed and time to the first token; what is unknown is left out. */
  figures() {
    const { usage, tokensPerSecond, firstTokenMs, state } = this.answer;
    const parts = [];
    if (state === 'cancelled') parts.push(this.words.say('answer.cancelled'));
    if (state === 'length') parts.push(this.words.say('answer.length'));
    if (usage) parts.push(this.words.say('answer.tokens', { count: usage.completion_tokens }));
    if (tokensPerSecond) parts.push(this.words.say(
      'answer.speed',
      { speed: tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0) },
    ));
    if (firstTokenMs !== null) parts.push(this.words.say('answer.first', { time: duration(firstTokenMs) }));
    return parts.join(' · ');
  }

  async copy() {
    notify(this.words.say((await copyText(this.answer.text)) ? 'answer.copied' : 'answer.copyFailed'));
  }

  citation(number) {
    const source = this.answer.sources.find((one) => one.number === number);
    if (!source) return null;
    const label = this.words.say('source.open', { number, name: source.document });
    return h(
      'button',
      {
        type: 'button',
        class: 'cite',
        'aria-label': label,
        title: `${source.document} · ${source.place}`,
        text: `[${number}]`,
        onclick: () => this.actions.openSource(source),
      },
    );
  }

  codeHead(language, text) {
    const { words } = this;
    const copy = h('button', { type: 'button', class: 'link-button', text: words.say('code.copy') });
    copy.addEventListener('click', async () => {
      notify(words.say((await copyText(text())) ? 'answer.copied' : 'answer.copyFailed'));
    });
    return h('div', { class: 'code-head' }, h('span', { text: language || words.say('code.label') }), copy);
  }
}

function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
