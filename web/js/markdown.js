/**
 * Markdown that arrives in pieces, as DOM nodes: headings, lists, quotes, tables, code blocks, rules, paragraphs.
 *
 * Each line is given to the innermost open block as soon as its first letters decide where it belongs; a line that
 * may still become a list, a rule or a table waits unseen for a few letters. Closed blocks are never touched again, so
 * nothing flickers and the work grows with the text. The same text gives the same nodes however it was cut.
 */
import { h } from './dom.js';
import { InlineView } from './markdown-inline.js';
import { FenceBlock, TableBlock, tableAlignments, splitRow } from './markdown-blocks.js';

const DEPTH = 8; // blocks within blocks; deeper marks are text
const MARKER = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+/;
const RULE = /^ {0,3}([-*_])[ \t]*\1[ \t]*\1(?:[ \t]*\1)*[ \t]*$/;
const RULE_SO_FAR = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*)*$/;
const FENCE = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})([^`]*)$/;

/**
 * @typedef {{codeHead?: (language: string, text: () => string) => Node}} CodeOptions `codeHead` stands above code
 * @typedef {import('./markdown-inline.js').InlineOptions & CodeOptions} MarkdownOptions
 */

/** A growing markdown text inside `root`. */
export class MarkdownView {
  /** @param {HTMLElement|DocumentFragment} root @param {MarkdownOptions} [options] */
  constructor(root, options = {}) {
    this.blocks = new Blocks(root, options, 0);
    this.line = '';
    this.returned = false;
  }

  /** @param {string} text the next piece */
  append(text) {
    const whole = (this.returned ? '\r' : '') + text;
    this.returned = whole.endsWith('\r');
    const lines = (this.returned ? whole.slice(0, -1) : whole).split(/\r\n|\r|\n/);
    lines.forEach((part, index) => {
      this.line += part.replaceAll('\0', '\ufffd');
      const done = index < lines.length - 1;
      this.blocks.update(this.line, done);
      if (done) this.line = '';
    });
  }

  /** No more text comes. */
  finish() {
    if (this.returned) this.append('\n');
    if (this.line) this.blocks.update(this.line, true);
    this.line = '';
    this.blocks.close();
  }
}

/**
 * A whole markdown text as nodes.
 * @param {string} text
 * @param {MarkdownOptions} [options]
 */
export function renderMarkdown(text, options = {}) {
  const fragment = document.createDocumentFragment();
  const view = new MarkdownView(fragment, options);
  view.append(text);
  view.finish();
  return fragment;
}

/** A run of blocks: the document, a quote or a list item. */
class Blocks {
  constructor(root, options, depth) {
    this.root = root;
    this.options = options;
    this.depth = depth;
    /** the open block, of type Paragraph, Heading, FenceBlock, TableBlock, Quote or List */
    this.open = null;
    /** where the current line goes: {block, offset}, null while undecided */
    this.target = null;
    this.blank = false;
  }

  /** @param {string} line the current line so far @param {boolean} done whether it is whole */
  update(line, done) {
    this.target ??= this.decide(line, done);
    if (this.target) this.target.block?.update(line.slice(this.target.offset), done);
    if (!done) return;
    this.blank = line.trim() === '';
    this.target = null;
    if (this.open?.closed) this.close();
  }

  close() {
    this.open?.close?.();
    this.open = null;
  }

  start(block) {
    this.close();
    this.open = block;
    this.root.append(block.element);
    return block;
  }

  /** The block of this line, null while its letters do not tell yet. */
  decide(line, done) {
    if (this.open instanceof FenceBlock) return { block: this.open, offset: 0 };
    if (this.open instanceof List) {
      const place = this.open.decide(line, done, this.blank);
      if (place !== undefined) return place;
    }
    const text = line.trimStart();
    if (text === '') return this.decideBlank(done);
    const quote = this.depth < DEPTH ? this.decideQuote(line, done) : undefined;
    if (quote !== undefined) return quote;
    if (this.open instanceof Quote) this.close();
    const table = this.decideTable(line, done);
    if (table !== undefined) return table;
    return this.decideStart(line, text, done);
  }

  decideBlank(done) {
    if (!done) return null;
    this.close();
    return { block: null, offset: 0 };
  }

  decideQuote(line, done) {
    const mark = /^ {0,3}>/.exec(line);
    if (!mark) return undefined;
    if (line.length === mark[0].length && !done) return null;
    if (!(this.open instanceof Quote)) this.start(new Quote(this.options, this.depth));
    return { block: this.open, offset: mark[0].length + (line[mark[0].length] === ' ' ? 1 : 0) };
  }

  /** A paragraph's last line with bars and then a line of dashes are the head of a table. */
  decideTable(line, done) {
    if (this.open instanceof TableBlock) {
      if (this.open.barred ? /^\s*\|/.test(line) : line.includes('|')) return { block: this.open, offset: 0 };
      if (!done && !this.open.barred) return null;
      this.close();
      return undefined;
    }
    const head = this.open instanceof Paragraph ? this.open.lastLine : '';
    if (!head.includes('|') || !/^[\s|:-]+$/.test(line)) return undefined;
    if (!done) return null;
    const alignments = tableAlignments(line);
    const cells = splitRow(head);
    if (!alignments || alignments.length !== cells.length) return undefined;
    this.open.dropLastLine();
    if (this.open.empty) {
      this.open.element.remove();
      this.open = null;
    }
    this.start(new TableBlock(cells, alignments, head.trimStart().startsWith('|'), this.options));
    return { block: null, offset: 0 };
  }

  decideStart(line, text, done) {
    if (!done && /^(#{1,6}|`{1,2}|~{1,2}|\d{1,9}[.)]?|[-*+])$/.test(text)) return null;
    if (!done && RULE_SO_FAR.test(line)) return null;
    if (RULE.test(line)) {
      this.start({ element: document.createElement('hr'), update() {} });
      return { block: null, offset: 0 };
    }
    const fence = FENCE.exec(line);
    if (fence || (!done && /^ {0,3}(`{3,}[^`]*|~{3,}.*)$/.test(line))) {
      if (!done) return null;
      this.start(new FenceBlock(fence[2], fence[1].length, fence[3].trim(), this.options));
      return { block: null, offset: 0 };
    }
    const heading = HEADING.exec(line);
    if (heading && !done && heading[0] === line) return null;
    if (heading) {
      return { block: this.start(new Heading(heading[1].length, this.options)), offset: heading[0].length };
    }
    const marker = this.depth < DEPTH ? MARKER.exec(line) : null;
    // Inside a paragraph only a list from 1 begins: "...it was\n1984. A cold day" is no list.
    if (marker && !(this.open instanceof Paragraph && /^\d/.test(marker[2]) && parseInt(marker[2], 10) !== 1)) {
      if (!done && line.length === marker[0].length) return null;
      this.start(new List(marker, this.options, this.depth));
      return this.open.place(marker);
    }
    const paragraph = this.open instanceof Paragraph ? this.open : this.start(new Paragraph(this.options));
    return { block: paragraph, offset: line.length - text.length };
  }
}

class Paragraph {
  constructor(options) {
    this.element = document.createElement('p');
    this.view = new InlineView(this.element, options);
    this.options = options;
    /** whole lines */
    this.lines = [];
    /** their text as far as it may still change */
    this.before = '';
  }

  get lastLine() {
    return this.lines.at(-1) ?? '';
  }

  get empty() {
    return this.lines.length === 0;
  }

  update(line, done) {
    const text = line.trimEnd();
    this.view.update(this.before + text);
    // The head of a table looks like a line of bars until its second line comes.
    if (this.empty && text.startsWith('|')) this.element.className = 'maybe-table';
    else if (text !== '') this.element.removeAttribute('class');
    if (!done) return;
    this.lines.push(text);
    this.before = this.view.rest(`${this.before}${text}\n`);
  }

  dropLastLine() {
    this.lines.pop();
    this.element.replaceChildren();
    this.view = new InlineView(this.element, this.options);
    this.view.update(this.lines.join('\n'));
  }

  close() {
    this.element.removeAttribute('class');
  }
}

class Heading {
  constructor(level, options) {
    // The page itself has h1 and h2; an answer's headings stand below them.
    this.element = document.createElement(`h${Math.min(level + 2, 6)}`);
    this.view = new InlineView(this.element, options);
    this.closed = false;
  }

  update(line, done) {
    this.view.update(line.replace(/[ \t]+#*[ \t]*$/, ''));
    this.closed = done;
  }
}

class Quote {
  constructor(options, depth) {
    this.element = document.createElement('blockquote');
    this.blocks = new Blocks(this.element, options, depth + 1);
  }

  update(line, done) {
    this.blocks.update(line, done);
  }

  close() {
    this.blocks.close();
  }
}

/** Items of one kind; each item is a run of blocks, indented to where its text began. */
class List {
  constructor(marker, options, depth) {
    this.kind = marker[2].slice(-1);
    this.ordered = /\d/.test(marker[2]);
    this.element = document.createElement(this.ordered ? 'ol' : 'ul');
    const first = parseInt(marker[2], 10);
    if (this.ordered && first !== 1) this.element.setAttribute('start', String(first));
    this.options = options;
    this.depth = depth;
    this.blocks = null;
    this.indent = 0;
  }

  /** Opens the item of `marker` and says where its line goes on. */
  place(marker) {
    this.blocks?.close();
    const item = document.createElement('li');
    this.element.append(item);
    this.blocks = new Blocks(item, this.options, this.depth + 1);
    this.indent = marker[0].length + (marker[3] === '' ? 1 : 0);
    return { block: this.blocks, offset: marker[0].length };
  }

  /** Where the line goes: into the item, a new item, undecided (null), or out of the list (undefined). */
  decide(line, done, afterBlank) {
    const spaces = /^[ \t]*/.exec(line)[0].length;
    if (spaces === line.length) return done ? { block: this.blocks, offset: line.length } : null;
    // Tabs and one space less than the text's column are what models write for nested items.
    if (spaces >= Math.min(this.indent, 2) && (spaces >= this.indent || this.ordered || line[0] === '\t')) {
      return { block: this.blocks, offset: Math.min(spaces, line[0] === '\t' ? 1 : this.indent) };
    }
    const marker = MARKER.exec(line);
    const open = /^ {0,3}([-*+]|\d{1,9}[.)]?)$/.test(line) || RULE_SO_FAR.test(line) || marker?.[0] === line;
    if (open && !done) return null;
    if (marker && !RULE.test(line)) {
      return marker[2].slice(-1) === this.kind ? this.place(marker) : undefined;
    }
    const starts = /^ {0,3}([>#`~|]|[-*_]{3})/.test(line);
    const lazy = !afterBlank && !starts && this.blocks.open instanceof Paragraph;
    return lazy ? { block: this.blocks.open, offset: spaces } : undefined;
  }

  close() {
    this.blocks?.close();
  }
}
