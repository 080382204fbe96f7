/** The page's words in the language of the browser or of the user's choice. */
import ko from './strings-ko.js';
import en from './strings-en.js';

const WORDS = { ko, en };

/**
 * @param {string} choice 'ko', 'en' or 'system'
 * @returns {import('./shapes.js').Language}
 */
export function chosenLanguage(choice) {
  if (choice === 'ko' || choice === 'en') return choice;
  return navigator.language.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

/** Looks words up; `language` may change while the page runs. */
export class Words {
  /** @param {import('./shapes.js').Language} language */
  constructor(language) {
    this.language = language;
  }

  /**
   * @param {string} key
   * @param {Record<string, string|number>} [values] for the {braces}
   * @returns {string}
   */
  say(key, values = {}) {
    const words = WORDS[this.language][key];
    if (words === undefined) throw new Error(`strings: no words for ${key}`);
    return words.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
  }

  /** Puts words into the fixed parts of the page: data-say for text, data-say-ATTRIBUTE for attributes. */
  apply(root) {
    document.documentElement.lang = this.language;
    for (const element of root.querySelectorAll('[data-say]')) element.textContent = this.say(element.dataset.say);
    for (const name of ['label', 'title', 'placeholder']) {
      const attribute = name === 'label' ? 'aria-label' : name;
      for (const element of root.querySelectorAll(`[data-say-${name}]`)) {
        element.setAttribute(attribute, this.say(element.getAttribute(`data-say-${name}`)));
      }
    }
  }
}
