/**
 * How much of a model's context a text takes. The page has no tokenizer: it weighs letters, and corrects the weight of
 * each model by what its answers report.
 */

const CHEAP = 0.3; // a Latin letter
const HANGUL = 0.8;
const OTHER = 0.5; // a digit, a sign
const PER_MESSAGE = 6; // what a chat template adds
const FIRST_RATIO = 1.2; // before anything is known: rather too much than too little

/**
 * Tokens before correction.
 * @param {string} text
 */
export function weigh(text) {
  let weight = 0;
  for (const letter of text) {
    const code = letter.codePointAt(0);
    if (code <= 32) weight += 0.1;
    else if ((code | 32) >= 97 && (code | 32) <= 122) weight += CHEAP;
    else if (code >= 0xac00 && code <= 0xd7a3) weight += HANGUL;
    else if (code < 0x250) weight += OTHER;
    else weight += 1;
  }
  return weight;
}

/** @param {import('./shapes.js').Message[]} messages */
export function weighMessages(messages) {
  return messages.reduce((sum, message) => sum + weigh(message.content) + PER_MESSAGE, 0);
}

/** The correction of each model, kept with the settings. */
export class Weights {
  /** @param {Record<string, number>} ratios */
  constructor(ratios) {
    this.ratios = ratios;
  }

  /** @param {string} model */
  ratio(model) {
    return this.ratios[model] ?? FIRST_RATIO;
  }

  /** @param {string} model @param {import('./shapes.js').Message[]} messages */
  tokens(model, messages) {
    return Math.ceil(weighMessages(messages) * this.ratio(model));
  }

  /** Takes in what a prompt really took. */
  learn(model, messages, promptTokens) {
    const seen = promptTokens / Math.max(weighMessages(messages), 1);
    const before = this.ratios[model];
    this.ratios[model] = clamp(before === undefined ? seen * 1.05 : 0.7 * before + 0.3 * seen * 1.05, 0.3, 6);
  }

  /** The last prompt was refused as too long: it was heavier than thought. */
  raise(model) {
    this.ratios[model] = clamp(this.ratio(model) * 1.15, 0.3, 6);
  }
}

/**
 * Tokens kept free for the answer.
 * @param {number} context
 * @param {number|null} maxTokens the user's limit
 */
export function reserveFor(context, maxTokens) {
  const usual = clamp(Math.floor(context / 4), 32, 1024);
  return Math.min(maxTokens ?? usual, Math.floor(context / 2));
}

/** Tokens of one passage of a document: an eighth of the context, within what is still one thought. */
export function passageTokens(context) {
  return clamp(Math.floor((context || 2048) / 8), 48, 320);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
