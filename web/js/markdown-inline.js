/**
 * The inside of a paragraph: emphasis, code, links, citations, line breaks; nodes only, never markup.
 *
 * A mark must find its partner within REACH characters, otherwise it is plain text. So a prefix whose marks are all
 * settled never changes again, and `InlineView` reads a growing paragraph once instead of once per token.
 */
import { h } from './dom.js';

const REACH = 1000; // characters within which a mark must close
const DEPTH = 6; // marks within marks
const KEEP = 80; // settled letters that are worth leaving behind
const AHEAD = 12; // letters that must be known behind a border: `<br />`, `https://`, a run of marks
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;

/**
 * @typedef {object} InlineOptions
 * @property {(number: number) => Node|null} [cite] node for a citation such as [2], null where there is no such passage
 */

/** Text that grows: settled nodes stay as they are, only the tail is made anew. */
export class InlineView {
  /** @param {Node & ParentNode} root @param {InlineOptions} options */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    this.settled = 0;
    this.kept = 0;
  }

  /** @param {string} text the whole text so far */
  update(text) {
    while (this.root.childNodes.length > this.kept) this.root.lastChild.remove();
    let tail = read(text, this.settled, text.length, this.options);
    if (tail.border - this.settled > KEEP) {
      this.root.append(...read(text, this.settled, tail.border, this.options).nodes);
      this.settled = tail.border;
      this.kept = this.root.childNodes.length;
      tail = read(text, this.settled, text.length, this.options);
    }
    this.root.append(...tail.nodes);
  }

  /** What of `text` still matters: the unsettled tail and the letter before it. Later calls go on from there. */
  rest(text) {
    const cut = Math.max(this.settled - 1, 0);
    this.settled -= cut;
    return text.slice(cut);
  }
}

/** Nodes of text[from, to), and the last border before which nothing can change any more. */
function read(text, from, to, options) {
  const state = { open: Infinity, border: from, lost: new Set() };
  const nodes = span(text, from, to, 0, options, state);
  return { nodes, border: state.border };
}

/** @returns {Node[]} */
function span(text, from, to, depth, options, state) {
  const nodes = [];
  let plain = '';
  const add = (node) => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = '';
    nodes.push(node);
  };
  let at = from;
  while (at < to) {
    const found = depth < DEPTH ? mark(text, at, to, depth, options, state) : null;
    if (found) {
      if (found.node) add(found.node);
      else plain += found.text;
      at = found.end;
    } else {
      if (text[at] === '\n') add(document.createElement('br'));
      else plain += text[at];
      at += 1;
    }
    if (depth === 0 && state.open === Infinity && to - at >= AHEAD) state.border = at;
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

/** What starts at `at`, if it is more than a letter. */
function mark(text, at, to, depth, options, state) {
  switch (text[at]) {
    case '\\':
      return at + 1 < to && PUNCTUATION.test(text[at + 1]) ? { text: text[at + 1], end: at + 2 } : null;
    case '`':
      return code(text, at, to, state);
    case '*':
    case '_':
    case '~':
      return emphasis(text, at, to, depth, options, state);
    case '!':
      return text[at + 1] === '[' ? link(text, at + 1, to, depth, options, state) : null;
    case '[':
      return link(text, at, to, depth, options, state) ?? citation(text, at, to, options);
    case '<':
      return angle(text, at, to, state);
    case 'h':
      return bareLink(text, at, to);
    default:
      return null;
  }
}

/** A mark without a partner so far: nothing from here on is settled while one may still come. */
function unsettled(at, to, state) {
  if (to - at < REACH) state.open = Math.min(state.open, at);
  return null;
}

/** `search` up to `limit`, unless an earlier mark of this kind already found nothing up to the same end. */
function partner(kind, limit, to, state, search) {
  const key = `${kind}${to}`;
  if (state.lost.has(key)) return -1;
  const end = search();
  if (end < 0 && limit === to) state.lost.add(key);
  return end;
}

function runLength(text, at, to) {
  let end = at;
  while (end < to && text[end] === text[at]) end += 1;
  return end - at;
}

function code(text, at, to, state) {
  const ticks = runLength(text, at, to);
  const limit = Math.min(to, at + REACH);
  const end = partner(`\`${ticks} `, limit, to, state, () => closingTicks(text, at + ticks, limit, ticks));
  if (end < 0) {
    unsettled(at, to, state);
    return { text: text.slice(at, at + ticks), end: at + ticks };
  }
  const inside = text.slice(at + ticks, end).replaceAll('\n', ' ');
  const trimmed = inside.length > 2 && inside.startsWith(' ') && inside.endsWith(' ') ? inside.slice(1, -1) : inside;
  return { node: h('code', { text: trimmed }), end: end + ticks };
}

function closingTicks(text, from, to, ticks) {
  let at = from;
  while (at < to) {
    if (text[at] !== '`') {
      at += 1;
      continue;
    }
    const run = runLength(text, at, to);
    if (run === ticks) return at;
    at += run;
  }
  return -1;
}

function emphasis(text, at, to, depth, options, state) {
  const letter = text[at];
  const run = runLength(text, at, to);
  const size = Math.min(run, 2);
  if (letter === '~' && run !== 2) return { text: text.slice(at, at + run), end: at + run };
  const after = text[at + run];
  if (at + run >= to) return unsettled(at, to, state) ?? { text: text.slice(at, at + run), end: at + run };
  const behindWord = letter !== '~' && run === 1 && WORD.test(text[at - 1] ?? '');
  const inWord = behindWord && (letter === '_' || /[0-9]/.test(after));
  if (/\s/.test(after) || run > 3 || inWord) return { text: text.slice(at, at + run), end: at + run };
  const width = run === 3 ? 3 : size;
  const limit = Math.min(to, at + REACH);
  const end = partner(`${letter}${width} `, limit, to, state, () => closer(text, at + run, limit, letter, width));
  if (end < 0) return unsettled(at, to, state) ?? { text: text.slice(at, at + run), end: at + run };
  const inside = span(text, at + run, end, depth + 1, options, state);
  const tag = letter === '~' ? 'del' : width === 1 ? 'em' : 'strong';
  const node = width === 3 ? h('strong', {}, h('em', {}, ...inside)) : h(tag, {}, ...inside);
  return { node, end: end + width };
}

/** Where a run of `width` letters closes, past code and escapes; -1 for nowhere. */
function closer(text, from, to, letter, width) {
  let at = from;
  while (at < to) {
    if (text[at] === '\\') {
      at += 2;
    } else if (text[at] === '`') {
      const ticks = runLength(text, at, to);
      const end = closingTicks(text, at + ticks, to, ticks);
      at = end < 0 ? at + ticks : end + ticks;
    } else if (text[at] === letter) {
      const run = runLength(text, at, to);
      const fits = run === width || (width < 3 && run === 3);
      const inWord = letter === '_' && WORD.test(text[at + run] ?? '');
      if (fits && at > from && !/\s/.test(text[at - 1]) && !inWord) return at + run - width;
      at += run;
    } else {
      at += 1;
    }
  }
  return -1;
}

/** [text](address); an image too becomes a link, since loading one would tell its server. */
function link(text, at, to, depth, options, state) {
  const limit = Math.min(to, at + REACH);
  const close = closingBracket(text, at, limit, '[', ']');
  if (close < 0) return unsettled(at, to, state);
  if (close + 1 >= to) return unsettled(at, to, state);
  if (text[close + 1] !== '(') return null;
  const end = closingBracket(text, close + 1, Math.min(to, close + 1 + REACH), '(', ')');
  if (end < 0) return unsettled(at, to, state);
  const address = text.slice(close + 2, end).trim().replace(/\s+["'(].*$/s, '').replace(/^<(.*)>$/s, '$1');
  const inside = span(text, at + 1, close, depth + 1, options, state);
  return { node: anchor(address, inside) ?? h('span', {}, ...inside), end: end + 1 };
}

function closingBracket(text, at, to, opening, closing) {
  let level = 0;
  for (let i = at; i < to; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === opening) level += 1;
    else if (text[i] === closing && --level === 0) return i;
  }
  return -1;
}

function citation(text, at, to, options) {
  const found = /^\[(\d{1,3})\]/.exec(text.slice(at, Math.min(to, at + 6)));
  const node = found && options.cite ? options.cite(Number(found[1])) : null;
  return node ? { node, end: at + found[0].length } : null;
}

function angle(text, at, to, state) {
  const part = text.slice(at, Math.min(to, at + REACH));
  const line = /^<br ?\/?>/i.exec(part);
  if (line) return { node: document.createElement('br'), end: at + line[0].length };
  if (/^<https?:\/\/[^\s<>]*$/i.test(part)) return unsettled(at, to, state);
  const found = /^<(https?:\/\/[^\s<>]+)>/i.exec(part);
  const node = found && anchor(found[1], [document.createTextNode(found[1])]);
  return node ? { node, end: at + found[0].length } : null;
}

/** A bare address ends before what is not an address's letter (Hangul particles) and before closing punctuation. */
function bareLink(text, at, to) {
  if (WORD.test(text[at - 1] ?? '') || !/^https?:\/\//.test(text.slice(at, Math.min(to, at + 8)))) return null;
  const run = /^[^\s<>"`\\^{|}\u0000-\u0020\u007f-\uffff]+/.exec(text.slice(at, Math.min(to, at + REACH)));
  const address = run[0].replace(/[.,;:!?'")\]*_~]+$/, '');
  const node = anchor(address, [document.createTextNode(address)]);
  return node ? { node, end: at + address.length } : null;
}

/** A link to another site by http or https; null for every other address. */
function anchor(address, children) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
  return h(
    'a',
    { href: url.href, title: url.href, target: '_blank', rel: 'noopener noreferrer nofollow' },
    ...children,
  );
}
