/** Ranking of passages on the device: BM25 by MiniSearch over words, Hangul cut into pairs of syllables. */
import MiniSearch from '../../vendor/minisearch.js';

const SYLLABLES = /([가-힣\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff]+)/u;

/**
 * The terms of a text: 도토리가 and 도토리를 share 도토 and 토리.
 * @param {string} text
 * @returns {string[]}
 */
export function terms(text) {
  const found = [];
  for (const word of text.normalize('NFC').toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? []) {
    for (const [place, part] of word.split(SYLLABLES).entries()) {
      if (part === '') continue;
      if (place % 2 === 0) found.push(part);
      else for (let at = 0; at < Math.max(1, part.length - 1); at += 1) found.push(part.slice(at, at + 2));
    }
  }
  return found;
}

/**
 * Best first; passages without a common term are left out.
 * @param {string} query
 * @param {string[]} passages
 * @param {number} count
 * @returns {{index: number, score: number}[]}
 */
export function rank(query, passages, count) {
  const index = new MiniSearch({ fields: ['text'], tokenize: terms, processTerm: (term) => term });
  index.addAll(passages.map((text, id) => ({ id, text })));
  const found = index.search([...new Set(terms(query))].join(' '), {
    tokenize: (text) => text.split(' ').filter(Boolean),
    combineWith: 'OR',
    bm25: { k: 1.2, b: 0.75, d: 0 },
  });
  return found.slice(0, count).map(({ id, score }) => ({ index: id, score }));
}
