/** The two blocks with a shape of their own: fenced code and tables. */
import { h } from './dom.js';
import { InlineView } from './markdown-inline.js';

/** Code between fences: lines are appended to one text node, so a long listing costs no more than its letters. */
export class FenceBlock {
  /**
   * @param {string} mark the opening fence
   * @param {number} indent spaces before it, taken from each line
   * @param {string} info what stands behind it; the first word names the language
   * @param {import('./markdown.js').MarkdownOptions} options
   */
  constructor(mark, indent, info, options) {
    this.mark = mark;
    this.indent = indent;
    this.closed = false;
    this.whole = document.createTextNode('');
    this.part = document.createTextNode('');
    const language = info.split(/\s+/)[0].slice(0, 40);
    const code = h('code', {}, this.whole, this.part);
    const head = options.codeHead?.(language, () => this.whole.data + this.part.data);
    this.element = h('div', { class: 'code-block' }, head, h('pre', { tabindex: '0' }, code));
  }

  update(line, done) {
    const text = line.slice(Math.min(this.indent, /^ */.exec(line)[0].length));
    const bare = text.trim();
    const fence = bare !== '' && bare === this.mark[0].repeat(bare.length);
    if (done && fence && bare.length >= this.mark.length) {
      this.closed = true;
      this.part.data = '';
    } else if (done) {
      this.whole.appendData(`${text}\n`);
      this.part.data = '';
    } else {
      this.part.data = fence ? '' : text;
    }
  }
}

/** A table whose rows come one by one. */
export class TableBlock {
  /**
   * @param {string[]} head
   * @param {string[]} alignments one of '', 'left', 'center', 'right' a column
   * @param {boolean} barred whether rows begin with a bar
   * @param {import('./markdown.js').MarkdownOptions} options
   */
  constructor(head, alignments, barred, options) {
    this.barred = barred;
    this.alignments = alignments;
    this.options = options;
    this.row = null;
    this.body = document.createElement('tbody');
    const table = h('table', {}, h('thead', {}, this.makeRow('th', head)), this.body);
    this.element = h('div', { class: 'table-scroll', tabindex: '0' }, table);
  }

  makeRow(tag, cells) {
    const row = document.createElement('tr');
    this.alignments.forEach((alignment, column) => {
      const cell = h(tag, { class: alignment ? `align-${alignment}` : null });
      new InlineView(cell, this.options).update(cells[column] ?? '');
      row.append(cell);
    });
    return row;
  }

  update(line, done) {
    const row = this.makeRow('td', splitRow(line));
    if (this.row) this.row.replaceWith(row);
    else this.body.append(row);
    this.row = done ? null : row;
  }
}

/**
 * Cells of a row: cut at bars that are neither escaped nor inside code.
 * @param {string} line
 * @returns {string[]}
 */
export function splitRow(line) {
  const text = line.trim().replace(/^\|/, '');
  const cells = [];
  let cell = '';
  let code = false;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\' && text[at + 1] === '|') {
      cell += '|';
      at += 1;
    } else if (text[at] === '|' && !code) {
      cells.push(cell.trim());
      cell = '';
    } else {
      if (text[at] === '`') code = !code;
      cell += text[at];
    }
  }
  if (cell.trim() !== '') cells.push(cell.trim());
  return cells;
}

/**
 * Alignments from the line below a table's head, null when the line is something else.
 * @param {string} line
 * @returns {string[]|null}
 */
export function tableAlignments(line) {
  const cells = splitRow(line);
  if (cells.length === 0 || !line.includes('-') || !cells.every((cell) => /^:?-+:?$/.test(cell))) return null;
  return cells.map((cell) => {
    if (cell.startsWith(':') && cell.endsWith(':')) return 'center';
    return cell.endsWith(':') ? 'right' : cell.startsWith(':') ? 'left' : '';
  });
}
