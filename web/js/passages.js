/**
 * Cuts documents into passages that fit a model's context: whole sentences, a new passage preferably where a paragraph
 * begins, the last sentence again at the head of the next one where a paragraph had to be cut.
 */
import { weigh } from './budget.js';

const OVERLAP = 0.25; // of a passage; a longer last sentence is not repeated
const ENOUGH = 0.25; // of a passage: less than that goes together with a paragraph that must be cut anyway
/** The end of a sentence, or of a line before a list's item. */
const END = /(?:[.!?…。！？]+["'”’」』)\]]*(?=\s|$)|[。！？]|\r?\n(?=\s*(?:[-*•·]|\d+[.)])\s))/g;
const SHORTENED = /(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e|No|Fig|cf|\d{1,3})\.$/;

/**
 * @typedef {{text: string, page: number, paragraph: number, heading: string}} Passage page and paragraph from 1
 * @typedef {Passage & {weight: number, whole: number, opens: boolean, first: boolean}} Unit a sentence; `whole` is the
 *   weight of its paragraph, `first` its place in it, `opens` is true under a new heading
 */

/**
 * Passages of about `size` weight each (see budget.js).
 * @param {string[]} pages
 * @param {number} size
 * @returns {Passage[]}
 */
export function cutPassages(pages, size) {
  /** @type {Passage[]} */
  const passages = [];
  /** @type {Unit[]} */
  let held = [];
  const weight = () => held.reduce((sum, unit) => sum + unit.weight, 0);
  const flush = () => {
    if (held.length > 0) passages.push(passageOf(held));
    held = [];
  };
  for (const unit of units(pages, size)) {
    const breaks = unit.first && (unit.opens || unit.page !== held[0]?.page || !room(unit, weight(), size));
    if (held.length > 0 && breaks) flush();
    if (held.length > 0 && weight() + unit.weight > size) {
      const last = held[held.length - 1];
      flush();
      if (!unit.first && last.weight <= size * OVERLAP && last.weight + unit.weight <= size) held = [last];
    }
    held.push(unit);
  }
  flush();
  return passages;
}

/** Whether a whole paragraph still goes in; headings and other short pieces always do. */
function room(unit, weight, size) {
  return weight + unit.whole <= size || weight < size * ENOUGH;
}

function passageOf(held) {
  let text = '';
  for (const unit of held) text += `${text === '' ? '' : unit.first ? '\n' : ' '}${unit.text}`;
  return { text, page: held[0].page, paragraph: held[0].paragraph, heading: held[0].heading };
}

/** @returns {Generator<Unit>} */
function* units(pages, size) {
  let paragraph = 0;
  let heading = '';
  for (const [index, page] of pages.entries()) {
    for (const block of page.normalize('NFC').split(/\r?\n[ \t]*(?:\r?\n[ \t]*)+/)) {
      const text = block.trim();
      if (text === '') continue;
      const title = /^#{1,6}[ \t]+(.+)/.exec(text);
      if (title) heading = title[1].trim().slice(0, 80);
      // Places count what a reader counts: a heading of its own is no paragraph.
      if (!title || text.includes('\n')) paragraph += 1;
      const plain = text.replace(/^#{1,6}[ \t]+/gm, '');
      const place = { whole: weigh(plain), paragraph: Math.max(paragraph, 1), page: index + 1, heading };
      for (const [order, sentence] of sentences(plain).flatMap((part) => shorten(part, size)).entries()) {
        const first = order === 0;
        yield { text: sentence, weight: weigh(sentence), first, opens: Boolean(title) && first, ...place };
      }
    }
  }
}

/**
 * Sentences of a paragraph: Korean and Latin ends, not after an abbreviation, an initial or a number's point.
 * @param {string} text
 * @returns {string[]}
 */
export function sentences(text) {
  const found = [];
  let start = 0;
  for (const end of text.matchAll(END)) {
    const upTo = end.index + end[0].length;
    const part = text.slice(start, upTo);
    if (end[0].startsWith('.') && SHORTENED.test(part)) continue;
    found.push(part);
    start = upTo;
  }
  found.push(text.slice(start));
  return found.map((part) => part.replace(/\s*\r?\n\s*/g, ' ').trim()).filter((part) => part !== '');
}

/** A sentence beyond the size is cut after a Korean ending or at a space, at worst between letters. */
function shorten(sentence, size) {
  if (weigh(sentence) <= size) return [sentence];
  const parts = [];
  let part = '';
  for (const word of sentence.split(/(?<=[\s])/).flatMap((piece) => letters(piece, size))) {
    const ends = /[다요죠까]\s$/.test(part) && weigh(part) > size / 2;
    if (part !== '' && (ends || weigh(part + word) > size)) {
      parts.push(part.trim());
      part = '';
    }
    part += word;
  }
  if (part.trim()) parts.push(part.trim());
  return parts;
}

function letters(piece, size) {
  if (weigh(piece) <= size) return [piece];
  const parts = [];
  const width = Math.max(Math.floor(size), 1);
  for (let at = 0; at < piece.length; at += width) parts.push(piece.slice(at, at + width));
  return parts;
}
