/**
 * What the page can be asked to do, and the words that the model gets for it.
 *
 * Small models follow the last words best, so the task stands in the question itself ("영어로: ..."), and the system
 * prompt is one or two sentences. A model with a context of TINY tokens or less gets no system prompt at all: it would
 * cost a tenth of its memory, and models of that size have rarely seen one.
 */

const TINY = 1024;

/**
 * @typedef {object} Mode
 * @property {string} icon
 * @property {boolean} history whether earlier turns are read too
 * @property {number} temperature what "automatic" means here
 * @property {string[]} choices what the user picks beside the question; empty for nothing
 * @property {boolean} cautious whether advice may be asked here, so that medical and legal words get a note
 */

/** @type {Record<import('./shapes.js').ModeName, Mode>} */
export const MODES = {
  assistant: { icon: 'chat', history: true, temperature: 0.3, choices: [], cautious: true },
  translate: {
    icon: 'translate',
    history: false,
    temperature: 0,
    choices: ['auto', 'to-en', 'to-ko'],
    cautious: false,
  },
  tutor: { icon: 'tutor', history: true, temperature: 0.3, choices: ['explain', 'quiz', 'check'], cautious: true },
  write: {
    icon: 'pen',
    history: false,
    temperature: 0.5,
    choices: ['continue', 'sentence', 'points', 'polish', 'polite'],
    cautious: true,
  },
  documents: { icon: 'documents', history: false, temperature: 0, choices: [], cautious: true },
};

/** @type {import('./shapes.js').ModeName[]} */
export const MODE_NAMES = /** @type {any} */ (Object.keys(MODES));

const SYSTEM = {
  assistant: {
    ko: '당신은 도토리입니다. 짧고 정확하게 답하고, 모르면 모른다고 하세요.',
    en: 'You are Dotori. Answer briefly and precisely, and say so when you do not know.',
  },
  translate: {
    ko: '글을 옮기기만 하세요. 설명하지 마세요.',
    en: 'Only translate the text. Do not explain.',
  },
  tutor: {
    ko: '당신은 참을성 있는 선생님입니다. 쉬운 말로 한 걸음씩 가르치세요.',
    en: 'You are a patient teacher. Use easy words and go one step at a time.',
  },
  write: {
    ko: '부탁받은 글만 쓰세요. 머리말을 붙이지 마세요.',
    en: 'Write only the text that is asked for, without a preface.',
  },
  documents: {
    ko: '아래 글에 있는 것만으로 짧게 답하고 근거 번호를 [1]처럼 붙이세요. 글에 없으면 없다고 하세요.',
    en: 'Answer briefly from the passages only and cite them like [1]. If they do not say, say so.',
  },
};

/** Words before the text, by choice. */
const TASK = {
  'to-en': { ko: '영어로: ', en: 'English: ' },
  'to-ko': { ko: '한국어로: ', en: 'Korean: ' },
  explain: { ko: '쉽게 설명해 주세요: ', en: 'Explain simply: ' },
  quiz: { ko: '문제를 하나 내 주세요: ', en: 'Ask me one question about: ' },
  check: { ko: '맞는지 보고 고쳐 주세요: ', en: 'Check and correct: ' },
  continue: { ko: '이어서: ', en: 'Continue: ' },
  sentence: { ko: '한 문장으로: ', en: 'In one sentence: ' },
  points: { ko: '요점만 적어 주세요: ', en: 'List the main points: ' },
  polish: { ko: '다듬어 주세요: ', en: 'Improve the wording: ' },
  polite: { ko: '공손하게: ', en: 'Politely: ' },
};

/**
 * The language a text is written in: Korean where at least a third of its letters are Hangul.
 * @param {string} text
 * @returns {import('./shapes.js').Language}
 */
export function languageOf(text) {
  const hangul = text.match(/[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]/g)?.length ?? 0;
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return hangul * 3 >= Math.max(letters, 1) ? 'ko' : 'en';
}

/**
 * The direction of a translation; "auto" goes to the other language.
 * @param {string} choice
 * @param {string} text
 * @returns {'to-en'|'to-ko'}
 */
export function direction(choice, text) {
  if (choice === 'to-en' || choice === 'to-ko') return choice;
  return languageOf(text) === 'ko' ? 'to-en' : 'to-ko';
}

/**
 * What the model reads for a question: its own words around the user's.
 * @param {import('./shapes.js').ModeName} mode
 * @param {string} choice
 * @param {string} question
 * @param {string[]} passages in the order of their numbers, for documents
 * @param {number} context of the model, 0 when unknown
 */
export function userPrompt(mode, choice, question, passages, context) {
  const language = languageOf(question);
  if (mode === 'documents') return documentsPrompt(question, passages, language, isTiny(context));
  const task = mode === 'translate' ? direction(choice, question) : choice;
  return (TASK[task]?.[language] ?? '') + question;
}

function documentsPrompt(question, passages, language, tiny) {
  if (tiny) return [...passages, question].join('\n');
  const numbered = passages.map((text, index) => `[${index + 1}] ${text}`);
  return [...numbered, `${language === 'ko' ? '질문' : 'Question'}: ${question}`].join('\n\n');
}

/**
 * The system prompt of a mode, '' for none.
 * @param {import('./shapes.js').ModeName} mode
 * @param {string} question
 * @param {string} own the user's own system prompt; it takes the place of ours
 * @param {number} context
 */
export function systemPrompt(mode, question, own, context) {
  if (own.trim()) return own.trim();
  return isTiny(context) ? '' : SYSTEM[mode][languageOf(question)];
}

/** Whether a model of this context gets the bare words only. */
export function isTiny(context) {
  return context > 0 && context <= TINY;
}
