/** Line drawings of the page, on a grid of 24, and the acorn. */

const SVG = 'http://www.w3.org/2000/svg';

const LINES = {
  plus: ['M12 5v14M5 12h14'],
  search: ['M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13zM15.5 15.5 20 20'],
  menu: ['M4 7h16M4 12h16M4 17h10'],
  close: ['M6 6l12 12M18 6 6 18'],
  settings: ['M4 7h9M17 7h3M4 17h3M11 17h9', 'M15 5v4M9 15v4'],
  send: ['M12 19V5M6 11l6-6 6 6'],
  copy: ['M9 9h10v11H9zM15 9V4H5v11h4'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  again: ['M19 12a7 7 0 1 1-2.2-5.1M19 4v4.5h-4.5'],
  pencil: ['M5 19l1-4L16.5 4.5l3 3L9 18l-4 1zM14 7l3 3'],
  trash: ['M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5'],
  left: ['M14.5 6l-6 6 6 6'],
  right: ['M9.5 6l6 6-6 6'],
  down: ['M12 5v14M6 13l6 6 6-6'],
  chat: [
    'M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4V16A2.5 2.5 0 0 1 4 13.5z',
  ],
  translate: ['M4 6h9M8.5 4v2M11 6c-.8 3.4-3 6-6.5 7.6M6.5 9c1 2 2.7 3.5 5 4.5', 'M11.5 20l4-10h.6l4 10M13 16.8h5.6'],
  tutor: ['M3 9.5l9-4.5 9 4.5-9 4.5zM7 11.6V16c3 2.3 7 2.3 10 0v-4.4M21 9.5V15'],
  pen: ['M4 20c1-5 4.5-11.5 15-16 .5 6-3.5 11-11 12M4 20c3-5 6-8 9.5-10.5'],
  documents: ['M7 3.5h7l4 4V20.5H7zM14 3.5v4h4M10 12h5M10 15.5h5'],
  file: ['M6 3.5h8l4 4V20.5H6zM14 3.5v4h4'],
  folder: ['M3.5 18.5v-12h6l2 2.5h9v9.5z'],
  note: ['M12 8v5M12 16.2v.1M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17z'],
};

/**
 * A drawing that says nothing to a screen reader; its button has the name.
 * @param {keyof typeof LINES} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const drawing = svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' });
  drawing.append(...LINES[name].map((d) => svg('path', { d })));
  return drawing;
}

/** The square of a stop button. */
export function stopIcon() {
  const drawing = svg('svg', { viewBox: '0 0 24 24', class: 'icon icon-solid', 'aria-hidden': 'true' });
  drawing.append(svg('rect', { x: 7, y: 7, width: 10, height: 10, rx: 2 }));
  return drawing;
}

/** Our acorn, in the colours of the style sheet; icon.svg is the same drawing with its own. */
export function acorn() {
  const drawing = svg('svg', { viewBox: '0 0 64 64', class: 'acorn', 'aria-hidden': 'true', focusable: 'false' });
  drawing.append(
    svg('path', { class: 'acorn-nut', d: 'M15.5 29C15.5 43 24 49.5 32 57C40 49.5 48.5 43 48.5 29Z' }),
    svg('path', { class: 'acorn-shine', d: 'M21.5 34.5C22.2 40 24.6 43.6 28 46.8' }),
    svg('path', { class: 'acorn-stem', d: 'M32.5 15C32 11 33.5 8.2 37 6' }),
    svg('path', {
      class: 'acorn-cap',
      d: 'M11 28.5C11 19 20 13.5 32 13.5S53 19 53 28.5C53 31 51.4 32.5 49 32.5H15C12.6 32.5 11 31 11 28.5Z',
    }),
    svg('path', {
      class: 'acorn-scale',
      d: 'M17 25.5q3.75-4 7.5 0t7.5 0 7.5 0 7.5 0M22 19.5q3.4-3.2 6.7 0t6.7 0 6.7 0',
    }),
  );
  return drawing;
}

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
