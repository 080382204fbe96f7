/** The page's state and what can be done with it; the modules that draw call these and nothing else. */
import { byId, h, saveFile } from './dom.js';
import { ask, freshAnswer } from './ask.js';
import { Weights } from './budget.js';
import { Library } from './documents.js';
import { MODES } from './modes.js';
import { exportText, importText, newId } from './transfer.js';
import { announce, askLine, notify, showDialog } from './dialogs.js';
import { writeSettings } from './store.js';

const SAVE_MS = 1000; // between two saves while an answer grows
const TITLE_LETTERS = 60;

export class App {
  /**
   * @param {import('./shapes.js').Engine} engine
   * @param {import('./store.js').Store} store
   * @param {any} settings
   * @param {import('./strings.js').Words} words
   */
  constructor(engine, store, settings, words) {
    this.engine = engine;
    this.store = store;
    this.settings = settings;
    this.words = words;
    this.weights = new Weights(settings.ratios);
    this.library = new Library([]);
    /** @type {import('./shapes.js').Model[]} */
    this.models = [];
    /** @type {import('./shapes.js').Conversation[]} */
    this.conversations = [];
    this.choices = {};
    /** @type {{stop: AbortController, conversation: import('./shapes.js').Conversation}|null} */
    this.running = null;
    this.conversation = this.emptyConversation(settings.mode);
    /** drawn by main.js once the parts of the page are there */
    this.parts = null;
  }

  emptyConversation(mode) {
    const now = Date.now();
    return { id: newId(), title: '', named: false, mode, created: now, updated: now, exchanges: [] };
  }

  get model() {
    return this.models.find((model) => model.id === this.settings.model) ?? this.models[0] ?? { id: '', context: 0 };
  }

  get choice() {
    const { choices } = MODES[this.conversation.mode];
    return this.choices[this.conversation.mode] ?? choices[0] ?? '';
  }

  async load() {
    this.conversations = await this.store.all('conversations');
    this.library = new Library(await this.store.all('documents'));
    // An answer that was being written when the page went away stays as far as it came.
    for (const answer of this.conversations.flatMap((one) => one.exchanges.flatMap((exchange) => exchange.answers))) {
      if (answer.state === 'running') answer.state = 'cancelled';
    }
    const last = this.conversations.find((one) => one.id === sessionItem('dotori.open'));
    if (last) this.conversation = last;
  }

  async loadModels() {
    try {
      this.models = await this.engine.models();
      this.parts?.models();
    } catch (error) {
      if (error.kind === 'key') await this.askKey(() => this.loadModels());
      else if (error.kind !== 'gone') notify(this.words.say(`error.${error.kind ?? 'unknown'}`));
    }
  }

  change(changed) {
    Object.assign(this.settings, changed);
    writeSettings(this.settings);
    this.parts?.settings(changed);
  }

  // Conversations

  open(conversation) {
    this.conversation = conversation;
    setSessionItem('dotori.open', conversation.id);
    this.change({ mode: conversation.mode });
    this.parts.conversation();
  }

  startNew() {
    this.open(this.emptyConversation(this.settings.mode));
    this.parts.composer.focus();
  }

  setMode(mode) {
    this.conversation.mode = mode;
    this.change({ mode });
    this.parts.mode();
  }

  async rename(id) {
    const conversation = this.conversations.find((one) => one.id === id);
    const { words } = this;
    const title = await askLine(
      words,
      {
        title: words.say('list.rename'),
        label: words.say('rename.label'),
        value: conversation.title,
        submit: words.say('save'),
      },
    );
    if (!title?.trim()) return;
    conversation.title = title.trim().slice(0, 200);
    conversation.named = true;
    await this.save(conversation);
    this.parts.list();
  }

  async remove(id) {
    const conversation = this.conversations.find((one) => one.id === id);
    if (this.running?.conversation === conversation) this.stop();
    this.conversations = this.conversations.filter((one) => one.id !== id);
    await this.store.remove('conversations', id);
    if (this.conversation.id === id) this.startNew();
    this.parts.list();
    const back = async () => {
      this.conversations.push(conversation);
      await this.save(conversation);
      this.parts.list();
    };
    notify(this.words.say('list.deleted'), { label: this.words.say('undo'), act: back });
  }

  async save(conversation) {
    try {
      await this.store.put('conversations', conversation);
    } catch {
      this.parts.banner(this.words.say('storage.full'));
    }
  }

  exportAll() {
    saveFile(`dotori-${new Date().toISOString().slice(0, 10)}.json`, exportText(this.conversations));
  }

  async importFile(file) {
    try {
      const found = importText(await file.text());
      const ids = new Set(found.map((one) => one.id));
      this.conversations = [...this.conversations.filter((one) => !ids.has(one.id)), ...found];
      for (const conversation of found) await this.save(conversation);
      this.parts.list();
      notify(this.words.say('settings.imported', { count: found.length }));
    } catch {
      notify(this.words.say('settings.importBad'));
    }
  }

  async erase() {
    const { words } = this;
    const pressed = await showDialog(words.say('erase.title'), [h('p', { text: words.say('erase.text') })], [
      { label: words.say('erase.do'), value: 'yes', danger: true },
      { label: words.say('cancel'), value: '' },
    ]);
    if (pressed !== 'yes') return;
    this.stop();
    await this.engine.erase?.();
    await this.store.eraseEverything();
    location.reload();
  }

  // Asking

  /** @param {string} text @returns {boolean} whether it was taken */
  send(text) {
    const { conversation } = this;
    if (this.running || text.trim() === '') return false;
    if (conversation.mode === 'documents' && this.library.documents.length === 0) {
      notify(this.words.say('documents.first'));
      return false;
    }
    conversation.exchanges.push(this.exchangeOf(text));
    if (!conversation.title) conversation.title = text.trim().replace(/\s+/g, ' ').slice(0, TITLE_LETTERS);
    if (!this.conversations.includes(conversation)) this.conversations.push(conversation);
    setSessionItem('dotori.open', conversation.id);
    const index = conversation.exchanges.length - 1;
    if (index === 0) this.parts.conversation();
    this.answer(index);
    return true;
  }

  exchangeOf(text) {
    const { mode } = this.conversation;
    return { id: newId(), mode, choice: this.choice, question: text.trim().normalize('NFC'), answers: [], active: 0 };
  }

  /** Adds an answer to an exchange and lets the model write it. */
  async answer(index) {
    const { conversation } = this;
    const exchange = conversation.exchanges[index];
    if (this.models.length === 0) await this.loadModels();
    if (this.running) return;
    const answer = freshAnswer(this.model);
    // A failed answer is no alternative: the next one takes its place.
    exchange.answers = exchange.answers.filter((one) => one.state !== 'error' || one.text !== '');
    exchange.answers.push(answer);
    exchange.active = exchange.answers.length - 1;
    const stop = new AbortController();
    this.running = { stop, conversation };
    conversation.updated = Date.now();
    this.parts.answerBegins(index);
    await this.save(conversation);
    let saved = performance.now();
    const { engine, model, settings, weights, library, words } = this;
    const asked = { engine, model, settings, weights, library, words, conversation, index, signal: stop.signal };
    await ask(asked, answer, (piece) => {
      if (this.conversation === conversation) this.parts.answerGrows(index, piece);
      if (performance.now() - saved < SAVE_MS) return;
      saved = performance.now();
      this.save(conversation);
    });
    this.running = null;
    conversation.updated = Date.now();
    this.settings.ratios = weights.ratios;
    writeSettings(this.settings);
    if (this.conversations.includes(conversation)) await this.save(conversation);
    this.parts.answerEnds(index, conversation);
    announce(`${words.say('answer.done')} ${answer.text.slice(0, 500)}`);
    if (answer.error?.kind === 'key') await this.askKey(() => this.retry(index));
  }

  stop() {
    this.running?.stop.abort();
  }

  again(index) {
    if (!this.running) this.answer(index);
  }

  async retry(index, kind = '') {
    if (this.running) return;
    if (kind === 'key') await this.askKey(() => this.answer(index));
    else this.answer(index);
  }

  page(index, step) {
    const exchange = this.conversation.exchanges[index];
    if (this.running || !exchange.answers[exchange.active + step]) return;
    exchange.active += step;
    this.save(this.conversation);
    this.parts.redraw(index);
  }

  /** Asks a changed question in the place of the old one; what followed can be brought back. */
  edit(index, text) {
    const { conversation } = this;
    if (this.running) return;
    const before = conversation.exchanges;
    conversation.exchanges = before.slice(0, index);
    conversation.exchanges.push({ ...this.exchangeOf(text), mode: before[index].mode, choice: before[index].choice });
    this.parts.conversation();
    this.answer(index);
    if (before.length - 1 === index) return;
    const back = () => {
      this.stop();
      conversation.exchanges = before;
      this.save(conversation);
      if (this.conversation === conversation) this.parts.conversation();
    };
    notify(this.words.say('question.removed'), { label: this.words.say('undo'), act: back });
  }

  async askKey(then) {
    const { words } = this;
    const key = await askLine(
      words,
      {
        title: words.say('key.title'),
        text: words.say('key.text'),
        label: words.say('key.label'),
        type: 'password',
        submit: words.say('key.use'),
      },
    );
    if (!key?.trim()) return;
    this.engine.setKey?.(key.trim());
    if (this.models.length === 0) await this.loadModels();
    await then();
  }

  // Documents

  async keepDocument(document) {
    const same = this.library.documents.find((one) => one.name === document.name);
    if (same) await this.store.remove('documents', same.id);
    this.library = new Library([...this.library.documents.filter((one) => one !== same), document]);
    try {
      await this.store.put('documents', document);
    } catch {
      this.parts.banner(this.words.say('storage.full'));
    }
    this.parts.documents();
  }

  async removeDocument(id) {
    this.library.documents = this.library.documents.filter((one) => one.id !== id);
    await this.store.remove('documents', id);
    this.parts.documents();
  }
}

function sessionItem(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

function setSessionItem(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Only the conversation to open after a reload; nothing is lost without it.
  }
}
