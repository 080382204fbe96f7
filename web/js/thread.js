/** The turns of a conversation: questions, answers, notes between them, and where the reader stands. */
import { byId, copyText, h, iconButton } from './dom.js';
import { acorn, icon } from './icons.js';
import { AnswerView } from './answer-view.js';
import { questionEditor } from './composer.js';
import { cautionsFor } from './caution.js';
import { MODES, MODE_NAMES } from './modes.js';
import { notify } from './dialogs.js';

const SHOWN_LETTERS = 4000; // of a question; a browser lays a pasted book out for minutes
const NEAR_PX = 80; // from the end: still reading along

/**
 * @typedef {object} ThreadActions
 * @property {(index: number) => void} again
 * @property {(index: number, step: number) => void} page
 * @property {(index: number, text: string) => void} edit
 * @property {(index: number, kind: string) => void} retry
 * @property {(source: import('./shapes.js').Source) => void} openSource
 * @property {(text: string) => void} example
 * @property {(name: import('./shapes.js').ModeName) => void} mode
 * @property {() => void} addDocuments
 */

export class Thread {
  /** @param {import('./strings.js').Words} words @param {ThreadActions} actions */
  constructor(words, actions) {
    this.words = words;
    this.actions = actions;
    this.list = byId('turns');
    this.scroller = byId('scroller');
    this.latest = byId('latest');
    /** @type {AnswerView[]} */
    this.views = [];
    this.following = true;
    this.scroller.addEventListener('scroll', () => this.noticeScroll(), { passive: true });
    this.latest.addEventListener('click', () => this.follow());
    new ResizeObserver(() => this.following && this.toEnd()).observe(this.scroller);
  }

  /** @param {import('./shapes.js').Conversation} conversation @param {boolean} hasDocuments */
  show(conversation, hasDocuments) {
    this.conversation = conversation;
    this.views = [];
    if (conversation.exchanges.length === 0) {
      this.list.replaceChildren(this.welcome(conversation.mode, hasDocuments));
    } else {
      this.list.replaceChildren(...conversation.exchanges.map((exchange, index) => this.turn(exchange, index)));
    }
    this.showBorder();
    this.follow();
  }

  /** Draws one turn anew, for another answer or an edited question. */
  redraw(index) {
    const old = this.list.children[this.childOf(index)];
    const turn = this.turn(this.conversation.exchanges[index], index);
    if (old) old.replaceWith(turn);
    else this.list.append(turn);
    this.showBorder();
  }

  childOf(index) {
    return [...this.list.children].findIndex((child) => child.dataset.index === String(index));
  }

  turn(exchange, index) {
    const question = this.question(exchange, index);
    const answer = exchange.answers[exchange.active];
    const turn = h('article', { class: 'turn', dataset: { index: String(index) } }, question);
    if (!answer) return turn;
    const view = new AnswerView(this.words, answer, {
      again: () => this.actions.again(index),
      page: (step) => this.actions.page(index, step),
      retry: (kind) => this.actions.retry(index, kind),
      openSource: this.actions.openSource,
    });
    view.onDraw = () => this.following && this.toEnd();
    this.views[index] = view;
    turn.append(view.element);
    const cautions = MODES[exchange.mode].cautious ? cautionsFor(exchange.question) : [];
    turn.append(...cautions.map((kind) => h(
      'p',
      { class: 'caution', role: 'note' },
      icon('note'),
      h('span', { text: this.words.say(`caution.${kind}`) }),
    )));
    if (answer.state !== 'running') this.finishView(index);
    return turn;
  }

  question(exchange, index) {
    const { words } = this;
    const choice = exchange.choice && exchange.mode !== 'assistant' ? words.say(`choice.${exchange.choice}`) : '';
    const label = exchange.mode === 'assistant' ? '' : [
      words.say(`mode.${exchange.mode}`),
      choice,
    ].filter(Boolean).join(' · ');
    const more = exchange.question.length - SHOWN_LETTERS;
    const cut = more > 0 ? h('span', { class: 'hint', text: words.say('question.more', { count: more }) }) : null;
    const bubble = h('div', { class: 'bubble' }, exchange.question.slice(0, SHOWN_LETTERS), cut);
    const edit = iconButton(
      icon('pencil'),
      words.say('question.edit'),
      () => this.edit(block, exchange, index),
      { 'data-act': 'edit' },
    );
    const copy = iconButton(icon('copy'), words.say('question.copy'), async () => {
      notify(words.say((await copyText(exchange.question)) ? 'answer.copied' : 'answer.copyFailed'));
    });
    const heading = h('h2', { class: 'hidden-visually', text: words.say('you') });
    const bar = h(
      'div',
      { class: 'question-bar' },
      copy,
      edit,
      label && h('span', { class: 'question-mode', text: label }),
    );
    const block = h('div', { class: 'question' }, heading, bubble, bar);
    return block;
  }

  edit(block, exchange, index) {
    const { element, box } = questionEditor(exchange.question, this.words, (text) => {
      element.replaceWith(block);
      if (text !== null) this.actions.edit(index, text);
      else block.querySelector('[data-act=edit]').focus();
    });
    block.replaceWith(element);
    box.focus();
  }

  finishView(index) {
    const exchange = this.conversation.exchanges[index];
    const last = index === this.conversation.exchanges.length - 1;
    this.views[index]?.finish(exchange.answers.length, exchange.active, last);
  }

  /** After an answer ends: its notes, and the turn before is no longer the last. */
  finish(index) {
    this.finishView(index);
    if (index > 0) this.finishView(index - 1);
    this.showBorder();
    if (this.following) this.toEnd();
  }

  /** The line below which the model still reads. */
  showBorder() {
    this.list.querySelector('.border')?.remove();
    const last = this.conversation.exchanges.at(-1);
    const answer = last?.answers[last.active];
    if (!answer || answer.readFrom === 0 || !MODES[last.mode].history) return;
    const text = this.words.say('dropped', { context: answer.context });
    const before = this.list.children[this.childOf(answer.readFrom)];
    before?.before(h('p', { class: 'border', role: 'note' }, h('span', { text })));
  }

  welcome(mode, hasDocuments) {
    const { words } = this;
    const examples = [1, 2, 3].map((number) => {
      const text = words.say(`example.${mode}.${number}`);
      return h('button', { type: 'button', class: 'example', text, onclick: () => this.actions.example(text) });
    });
    const first = mode === 'documents' && !hasDocuments;
    const start = h(
      'button',
      {
        type: 'button',
        class: 'button button-main',
        onclick: this.actions.addDocuments,
        text: words.say('documents.add'),
      },
    );
    return h(
      'section',
      { class: 'welcome' },
      acorn(),
      h('h2', { class: 'hidden-visually', text: words.say(`mode.${mode}`) }),
      h(
        'div',
        { class: 'modes', role: 'group', 'aria-label': words.say('mode.label') },
        ...MODE_NAMES.map((name) => this.modeButton(name, mode)),
      ),
      h('p', { class: 'hint', text: words.say(`hint.${mode}`) }),
      first ? h('p', { class: 'hint' }, start) : h(
        'div',
        { class: 'examples', role: 'group', 'aria-label': words.say('examples') },
        ...examples,
      ),
    );
  }

  modeButton(name, mode) {
    const press = () => {
      this.actions.mode(name);
      this.list.querySelector('[aria-pressed=true]')?.focus();
    };
    const props = { type: 'button', class: 'mode', 'aria-pressed': String(name === mode), onclick: press };
    return h('button', props, icon(MODES[name].icon), h('span', { text: this.words.say(`mode.${name}`) }));
  }

  noticeScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.latest.hidden = this.following;
  }

  follow() {
    this.following = true;
    this.latest.hidden = true;
    this.toEnd();
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}
