/** The list of conversations: by day, searched by their words, renamed and deleted in place. */
import { byId, h, iconButton } from './dom.js';
import { icon } from './icons.js';

const DAY_MS = 86_400_000;

export class Sidebar {
  /**
   * @param {import('./strings.js').Words} words
   * @param {{open: (id: string) => void, rename: (id: string) => void, remove: (id: string) => void}} actions
   */
  constructor(words, actions) {
    this.words = words;
    this.actions = actions;
    this.list = byId('conversations');
    this.search = byId('search');
    this.search.addEventListener('input', () => this.draw());
    this.conversations = [];
    this.current = '';
  }

  /** @param {import('./shapes.js').Conversation[]} conversations @param {string} current its id */
  show(conversations, current) {
    this.conversations = [...conversations].sort((a, b) => b.updated - a.updated);
    this.current = current;
    this.draw();
  }

  draw() {
    const query = this.search.value.trim().normalize('NFC').toLowerCase();
    const found = this.conversations.filter((conversation) => matches(conversation, query));
    if (found.length === 0) {
      const text = this.words.say(query ? 'list.noMatch' : 'list.none');
      this.list.replaceChildren(h('p', { class: 'list-empty', text }));
      return;
    }
    const groups = new Map();
    for (const conversation of found) {
      const name = dayName(conversation.updated);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(this.item(conversation));
    }
    this.list.replaceChildren(
      ...[...groups].map(([name, items]) =>
        h('section', {}, h('h3', { text: this.words.say(`list.${name}`) }), h('ul', {}, ...items)),
      ),
    );
  }

  item({ id, title }) {
    const { words, actions } = this;
    const here = id === this.current;
    return h(
      'li',
      { class: here ? 'here' : null },
      h(
        'button',
        {
          type: 'button',
          class: 'conversation',
          'aria-current': here ? 'page' : null,
          onclick: () => actions.open(id),
          text: title,
          title,
        },
      ),
      iconButton(icon('pencil'), `${words.say('list.rename')}: ${title}`, () => actions.rename(id)),
      iconButton(icon('trash'), `${words.say('list.delete')}: ${title}`, () => actions.remove(id)),
    );
  }
}

function matches(conversation, query) {
  if (!query) return true;
  const texts = [
    conversation.title,
    ...conversation.exchanges.flatMap((one) => [one.question, ...one.answers.map((answer) => answer.text)]),
  ];
  return texts.some((text) => text.normalize('NFC').toLowerCase().includes(query));
}

function dayName(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return 'today';
  return time >= midnight - DAY_MS ? 'yesterday' : 'earlier';
}
