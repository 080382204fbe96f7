/** The user's documents: read here, kept here, cut into passages, and what an answer owes to them. */
import { cutPassages } from './passages.js';
import { passageTokens } from './budget.js';
import { newId } from './transfer.js';

const MOST_BYTES = 8_000_000; // of one file; what the server takes too
const KINDS = /\.(txt|md|markdown|pdf)$/i;

/** A file that cannot be taken, with the reason's name in strings.js. */
export class DocumentError extends Error {
  /** @param {'kind'|'big'|'empty'|'unread'} reason @param {string} name @param {string} [detail] */
  constructor(reason, name, detail = '') {
    super(`${name}: ${reason}`);
    this.reason = reason;
    this.fileName = name;
    this.detail = detail;
  }
}

/** Whether a file of a chosen folder is one of ours; others are passed over. @param {string} name */
export function isDocument(name) {
  return KINDS.test(name);
}

/**
 * Reads a file; throws DocumentError.
 * @param {File} file
 * @param {import('./shapes.js').Engine} engine
 * @returns {Promise<import('./shapes.js').StoredDocument>}
 */
export async function readDocument(file, engine) {
  const name = file.webkitRelativePath || file.name;
  if (!isDocument(file.name)) throw new DocumentError('kind', name);
  if (file.size > MOST_BYTES) throw new DocumentError('big', name);
  const paged = /\.pdf$/i.test(file.name);
  const pages = paged ? await pagesOf(file, name, engine) : [decode(await file.arrayBuffer())];
  if (pages.every((page) => page.trim() === '')) throw new DocumentError('empty', name);
  return { id: newId(), name, size: file.size, added: Date.now(), pages, paged };
}

async function pagesOf(file, name, engine) {
  try {
    const pages = await engine.textOf(file);
    if (pages) return pages.map((page) => page.normalize('NFC'));
  } catch (error) {
    throw new DocumentError('unread', name, error.detail ?? String(error.message));
  }
  throw new DocumentError('unread', name);
}

/** UTF-8, else the encoding of older Korean files. */
function decode(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).normalize('NFC');
  } catch {
    return new TextDecoder(looksWide(bytes) ? 'utf-16' : 'euc-kr').decode(bytes).normalize('NFC');
  }
}

function looksWide(bytes) {
  const head = new Uint8Array(bytes.slice(0, 2));
  return (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
}

/** Documents with their passages for a model's context, cut once a size. */
export class Library {
  /** @param {import('./shapes.js').StoredDocument[]} documents */
  constructor(documents) {
    this.documents = documents;
    this.cut = new Map();
  }

  /**
   * @param {number} context of the model
   * @returns {{document: import('./shapes.js').StoredDocument, passage: import('./passages.js').Passage}[]}
   */
  passages(context) {
    const size = passageTokens(context);
    return this.documents.flatMap((document) => {
      const key = `${document.id} ${size}`;
      if (!this.cut.has(key)) this.cut.set(key, cutPassages(document.pages, size));
      return this.cut.get(key).map((passage) => ({ document, passage }));
    });
  }
}

/**
 * Marks which sources an answer names, and which of them hold most of its words.
 * @param {string} answer
 * @param {import('./shapes.js').Source[]} sources
 */
export function markSources(answer, sources) {
  const named = new Set([...answer.matchAll(/\[(\d{1,3})\]/g)].map((found) => Number(found[1])));
  const words = answer.replace(/\[\d+\]/g, ' ').toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  for (const source of sources) {
    const text = source.text.toLowerCase();
    // A Korean word may carry a particle that the passage writes otherwise: its stem is enough.
    const there = words.filter((word) => text.includes(word) || (word.length > 2 && text.includes(word.slice(0, -1))));
    source.cited = named.has(source.number);
    source.supports = words.length > 0 && there.length / words.length >= 0.6;
  }
}
