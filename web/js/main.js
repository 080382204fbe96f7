/** Opens the engine and the storage, and ties the parts of the page to the app. */
import { byId, h } from './dom.js';
import { acorn, icon } from './icons.js';
import { App } from './app.js';
import { Composer } from './composer.js';
import { Drawer } from './drawer.js';
import { SettingsPanel } from './settings.js';
import { Sidebar } from './sidebar.js';
import { Thread } from './thread.js';
import { chosenLanguage, Words } from './strings.js';
import { openEngine } from './engine.js';
import { openStore, readSettings } from './store.js';
import { addDocuments, showLibrary, showSource } from './library-view.js';
import { MODE_NAMES, MODES } from './modes.js';
import { followKeyboard } from './viewport.js';
import { notify } from './dialogs.js';
import { prepareEngine } from './prepare.js';

const LIST_BESIDE = '(min-width: 860px)';
const SETTINGS_BESIDE = '(min-width: 1180px)';

async function start() {
  const settings = readSettings();
  const words = new Words(chosenLanguage(settings.language));
  drawFixedParts(words);
  followKeyboard();
  const [store, engine] = await Promise.all([openStore(), openEngine()]);
  const app = new App(engine, store, settings, words);
  await app.load();
  app.parts = parts(app);
  showTheme(settings.theme);
  app.parts.everything();
  if (!store.lasting) app.parts.banner(words.say('storage.memory'));
  await prepareEngine(engine, words);
  byId('main').setAttribute('aria-busy', 'false');
  engine.watch?.((alive) => app.parts.alive(alive));
  await app.loadModels();
  if (!matchMedia('(pointer: coarse)').matches) app.parts.composer.focus();
}

function drawFixedParts(words) {
  words.apply(document);
  document.title = words.say('app.name');
  for (const place of document.querySelectorAll('[data-icon]')) place.replaceChildren(icon(place.dataset.icon));
  byId('brand').replaceChildren(acorn(), words.say('app.name'));
}

function showTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const colour = getComputedStyle(document.body).backgroundColor;
  document.querySelector('meta[name=theme-color]').setAttribute('content', colour);
}

/** What app.js may ask the page to draw. */
function parts(app) {
  const { words, engine } = app;
  const openList = new Drawer('sidebar', LIST_BESIDE, [byId('open-list')], true);
  const openSettings = new Drawer('settings', SETTINGS_BESIDE, [byId('open-settings')], false);
  const composer = new Composer(byId('composer'), words, { send: (text) => app.send(text), stop: () => app.stop() });
  const thread = new Thread(words, {
    again: (index) => app.again(index),
    page: (index, step) => app.page(index, step),
    edit: (index, text) => app.edit(index, text),
    retry: (index, kind) => app.retry(index, kind),
    openSource: (source) => showSource(
      words,
      source,
      app.library.documents.find((one) => one.id === source.documentId),
    ),
    example: (text) => {
      composer.fill(text);
      composer.focus();
    },
    mode: (name) => app.setMode(name),
    addDocuments: () => byId('files').click(),
  });
  const sidebar = new Sidebar(words, {
    open: (id) => {
      openList.closeIfOver();
      app.open(app.conversations.find((one) => one.id === id));
    },
    rename: (id) => app.rename(id),
    remove: (id) => app.remove(id),
  });
  const panel = new SettingsPanel(words, {
    change: (changed) => app.change(changed),
    exportAll: () => app.exportAll(),
    importFile: (file) => app.importFile(file),
    erase: () => app.erase(),
    sheet: async () => [...modelLines(app), ...((await engine.sheet?.()) ?? [])],
    panel: () => engine.panel?.(),
  });
  const startNew = () => {
    openList.closeIfOver();
    app.startNew();
  };
  byId('new').addEventListener('click', startNew);
  byId('new-small').addEventListener('click', startNew);
  addEventListener('keydown', (event) => {
    const typing = event.target instanceof Element && event.target.closest('input, textarea, select, dialog');
    if (event.key === '/' && !typing && !event.isComposing) {
      event.preventDefault();
      composer.focus();
    }
    if (event.key === 'Escape' && app.running && !document.querySelector('dialog[open]')) app.stop();
  });

  const my = {
    composer,
    everything() {
      words.apply(document);
      drawFixedParts(words);
      my.models();
      my.conversation();
      panel.show(app.settings, MODES[app.conversation.mode].temperature);
    },
    conversation() {
      const { conversation } = app;
      thread.show(conversation, app.library.documents.length > 0);
      byId('title').textContent = conversation.title;
      my.list();
      my.mode();
      composer.setRunning(app.running?.conversation === conversation);
    },
    list: () => {
      sidebar.show(app.conversations, app.conversation.id);
      byId('title').textContent = app.conversation.title;
    },
    mode() {
      const { mode } = app.conversation;
      byId('mode-place').replaceChildren(modeSelect(app));
      byId('choice-place').replaceChildren(...(MODES[mode].choices.length > 0 ? [choiceSelect(app)] : []));
      composer.box.placeholder = words.say(`input.${mode}`);
      my.documents();
      my.context();
      const automatic = byId('settings-body').querySelector('#setting-temperature');
      if (automatic) automatic.placeholder = `${words.say('settings.automatic')} (${MODES[mode].temperature})`;
    },
    documents() {
      const { documents } = app.library;
      const count = documents.length;
      byId('documents').hidden = app.conversation.mode !== 'documents';
      byId('documents').replaceChildren(
        icon('file'),
        words.say(count > 0 ? 'documents.count' : 'documents.none', { count }),
      );
      if (app.conversation.exchanges.length === 0) thread.show(app.conversation, count > 0);
    },
    models() {
      const { models, model } = app;
      const names = models.map(({ id }) => h('option', { value: id, text: id }));
      const select = h(
        'select',
        { class: 'model', 'aria-label': words.say('model'), onchange: () => app.change({ model: select.value }) },
        ...names,
      );
      select.value = model.id;
      panel.about();
      byId('model-place').replaceChildren(models.length > 1 ? select : h(
        'span',
        { class: 'model', title: model.id || null, text: model.id || words.say('model.none') },
      ));
    },
    context() {
      const last = app.conversation.exchanges.at(-1);
      const answer = last?.answers[last.active];
      const used = answer?.usage ? answer.usage.prompt_tokens + answer.usage.completion_tokens : 0;
      const context = answer?.context || app.model.context;
      byId('context').textContent = used && context ? words.say('context.used', { used, context }) : '';
      byId('context').title = words.say('context.title');
    },
    settings(changed) {
      if ('theme' in changed) showTheme(changed.theme);
      if ('language' in changed) {
        words.language = chosenLanguage(changed.language);
        my.everything();
      }
      if ('model' in changed) my.models();
    },
    answerBegins(index) {
      thread.redraw(index);
      thread.follow();
      composer.setRunning(true);
      my.list();
    },
    answerGrows: (index, piece) => thread.views[index]?.append(piece),
    answerEnds(index, conversation) {
      composer.setRunning(false);
      if (app.conversation === conversation) thread.finish(index);
      my.list();
      my.context();
    },
    redraw: (index) => thread.redraw(index),
    banner(text, calm = false) {
      const banner = byId('banner');
      banner.textContent = text;
      banner.hidden = text === '';
      banner.classList.toggle('calm', calm);
    },
    alive(alive) {
      my.banner(alive ? '' : words.say('gone.banner'));
      if (!alive) return;
      notify(words.say('back.banner'));
      app.loadModels();
    },
  };
  wireDocuments(app);
  return my;
}

function modelLines({ model, words }) {
  if (!model.id) return [];
  const size = model.context ? [
    { label: words.say('about.context'), value: words.say('answer.tokens', { count: model.context }) },
  ] : [];
  return [{ label: words.say('model'), value: model.id }, ...size];
}

function modeSelect(app) {
  const options = MODE_NAMES.map((name) => h('option', { value: name, text: app.words.say(`mode.${name}`) }));
  const select = h(
    'select',
    { id: 'mode', 'aria-label': app.words.say('mode.label'), onchange: () => app.setMode(select.value) },
    ...options,
  );
  select.value = app.conversation.mode;
  return h('span', { class: 'picker' }, icon(MODES[app.conversation.mode].icon), select);
}

function choiceSelect(app) {
  const { mode } = app.conversation;
  const options = MODES[mode].choices.map((name) => h(
    'option',
    { value: name, text: app.words.say(`choice.${name}`) },
  ));
  const choose = () => {
    app.choices[mode] = select.value;
  };
  const select = h(
    'select',
    { id: 'choice', 'aria-label': app.words.say('choice.label'), onchange: choose },
    ...options,
  );
  select.value = app.choice;
  return h('span', { class: 'picker' }, select);
}

/** Choosing, dropping and listing documents. */
function wireDocuments(app) {
  const { words } = app;
  let shown = null;
  const take = async (files, fromFolder) => {
    await addDocuments(files, fromFolder, app.engine, words, (document) => app.keepDocument(document));
    shown?.draw();
  };
  for (const [id, fromFolder] of [['files', false], ['folder', true]]) {
    const input = byId(id);
    input.addEventListener('change', async () => {
      const files = [...input.files];
      input.value = '';
      await take(files, fromFolder);
    });
  }
  byId('documents').addEventListener('click', async () => {
    shown = showLibrary(words, app.library, app.model.context, (id) => app.removeDocument(id));
    await shown.shown;
    shown = null;
  });
  const main = byId('main');
  main.addEventListener('dragover', (event) => {
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    main.dataset.drop = words.say('documents.drop');
  });
  main.addEventListener('dragleave', (event) => {
    if (!main.contains(event.relatedTarget)) delete main.dataset.drop;
  });
  main.addEventListener('drop', async (event) => {
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    delete main.dataset.drop;
    if (app.conversation.mode !== 'documents') {
      if (app.conversation.exchanges.length > 0) app.startNew();
      app.setMode('documents');
    }
    await take([...event.dataTransfer.files], false);
  });
}

start();
