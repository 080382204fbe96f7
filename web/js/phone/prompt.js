/**
 * A conversation as the one string that the engine reads. `dotori export web` writes the pieces into config.json and
 * proves that this string gives the ids that Python's chat template gives.
 */

/**
 * @typedef {object} ChatShape
 * @property {'pieces'|'engine'} kind 'engine': the file's own template, run by the engine
 * @property {string} begin before the first message
 * @property {string[]} message the text before the role, between role and content, after the content
 * @property {string} answer where the assistant speaks
 * @property {string[]} control spellings that the engine would take for control tokens
 */

// A control token spelled in what people write gets a WORD JOINER after its first letter and so stays text.
const JOINER = '\u2060';

/** @param {string} text @param {string[]} control */
export function plain(text, control) {
  let found = text;
  for (const token of control) found = found.replaceAll(token, token[0] + JOINER + token.slice(1));
  return found;
}

/**
 * @param {ChatShape} chat
 * @param {{role: string, content: string}[]} messages
 */
export function promptText(chat, messages) {
  const [before, between, after] = chat.message;
  const parts = messages.map(({ role, content }) => before + role + between + plain(content, chat.control) + after);
  return chat.begin + parts.join('') + chat.answer;
}
