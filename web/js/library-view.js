/** The user's documents on the page: adding, removing, and a passage in its place. */
import { byId, h, iconButton } from './dom.js';
import { icon } from './icons.js';
import { showDialog, notify } from './dialogs.js';
import { DocumentError, isDocument, readDocument } from './documents.js';

const AROUND = 600; // letters shown before and after a passage

/**
 * Reads the chosen files one by one; what cannot be read is named, the others are kept.
 * @param {File[]} files
 * @param {boolean} fromFolder other kinds of files are passed over in silence
 * @param {import('./shapes.js').Engine} engine
 * @param {import('./strings.js').Words} words
 * @param {(document: import('./shapes.js').StoredDocument) => Promise<void>} keep
 */
export async function addDocuments(files, fromFolder, engine, words, keep) {
  const chosen = fromFolder ? files.filter((file) => isDocument(file.name)) : files;
  if (chosen.length === 0 && fromFolder) notify(words.say('documents.noneInFolder'));
  let added = 0;
  const failed = [];
  for (const file of chosen) {
    notify(words.say('documents.reading', { name: file.name }));
    try {
      await keep(await readDocument(file, engine));
      added += 1;
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      failed.push(words.say(`documents.${error.reason}`, { name: error.fileName }));
    }
  }
  if (added > 0) notify(words.say('documents.added', { count: added }));
  if (failed.length > 0) {
    await showDialog(
      words.say('documents.title'),
      failed.map((text) => h('p', { text })),
      [{ label: words.say('close'), value: '' }],
    );
  }
}

/**
 * The dialog that lists the documents.
 * @param {import('./strings.js').Words} words
 * @param {import('./documents.js').Library} library
 * @param {number} context
 * @param {(id: string) => Promise<void>} remove
 */
export function showLibrary(words, library, context, remove) {
  const list = h('ul', { class: 'documents' });
  const draw = () => {
    const counts = new Map();
    for (const { document } of library.passages(context)) counts.set(document.id, (counts.get(document.id) ?? 0) + 1);
    const items = library.documents.map((document) => {
      const drop = async () => {
        await remove(document.id);
        draw();
      };
      return h(
        'li',
        {},
        icon('file'),
        h('span', { class: 'document-name', text: document.name }),
        h(
          'span',
          { class: 'document-size', text: words.say('documents.passages', { count: counts.get(document.id) ?? 0 }) },
        ),
        iconButton(icon('trash'), words.say('documents.remove', { name: document.name }), drop),
      );
    });
    list.replaceChildren(...(items.length > 0 ? items : [
      h('li', { class: 'hint', text: words.say('documents.first') }),
    ]));
  };
  draw();
  const button = (name, image, input) => h(
    'button',
    { type: 'button', class: 'button', onclick: () => byId(input).click() },
    icon(image),
    words.say(name),
  );
  const buttons = h(
    'div',
    { class: 'buttons' },
    button('documents.add', 'file', 'files'),
    button('documents.addFolder', 'folder', 'folder'),
  );
  const shown = showDialog(words.say('documents.title'), [list, buttons], [{ label: words.say('close'), value: '' }]);
  return { draw, shown };
}

/**
 * The dialog that shows a passage where it stands in its document.
 * @param {import('./strings.js').Words} words
 * @param {import('./shapes.js').Source} source
 * @param {import('./shapes.js').StoredDocument|undefined} document undefined when it was removed since
 */
export async function showSource(words, source, document) {
  const { before, after } = surroundings(source.text, document?.pages ?? []);
  const mark = h('mark', { text: source.text });
  const text = h(
    'div',
    { class: 'passage', tabindex: '0' },
    h('span', { class: 'around', text: before }),
    mark,
    h('span', { class: 'around', text: after }),
  );
  const place = h('p', { class: 'hint', text: `[${source.number}] ${source.place}` });
  const shown = showDialog(
    source.document,
    [place, text],
    [{ label: words.say('close'), value: '' }],
    { class: 'wide' },
  );
  mark.scrollIntoView({ block: 'center' });
  await shown;
}

/** What stands before and after a passage; sentences were joined with other white space than the document's. */
function surroundings(text, pages) {
  const pattern = text.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+');
  const found = new RegExp(pattern);
  for (const page of pages) {
    const place = found.exec(page);
    if (!place) continue;
    const end = place.index + place[0].length;
    const from = Math.max(place.index - AROUND, 0);
    return {
      before: (from > 0 ? '… ' : '') + page.slice(from, place.index),
      after: page.slice(end, end + AROUND) + (end + AROUND < page.length ? ' …' : ''),
    };
  }
  return { before: '', after: '' };
}
