/** One question to the model: what it is given to read, the stream of its answer, and what the answer took. */
import { EngineError } from './engine.js';
import { isTiny, MODES, systemPrompt, userPrompt } from './modes.js';
import { reserveFor } from './budget.js';
import { markSources } from './documents.js';

const MOST_PASSAGES = 6;
const MOST_PASSAGES_TINY = 3; // models of that size lose the thread sooner
const RANKED = 12; // asked of the ranking; the best that fit are taken
const RETRIES = 8; // shorter prompts after "too long"

/**
 * @typedef {object} Asked
 * @property {import('./shapes.js').Engine} engine
 * @property {import('./shapes.js').Model} model
 * @property {any} settings
 * @property {import('./budget.js').Weights} weights
 * @property {import('./documents.js').Library} library
 * @property {import('./strings.js').Words} words
 * @property {import('./shapes.js').Conversation} conversation
 * @property {number} index of the exchange
 * @property {AbortSignal} signal
 */

/**
 * An answer before anything is known of it.
 * @param {import('./shapes.js').Model} model
 * @returns {import('./shapes.js').Answer}
 */
export function freshAnswer(model) {
  return {
    text: '',
    model: model.id,
    state: 'running',
    usage: null,
    tokensPerSecond: null,
    firstTokenMs: null,
    readFrom: 0,
    context: model.context,
    sources: [],
    error: null,
  };
}

/**
 * Fills `answer` while the model speaks. Never throws: what goes wrong stands in `answer.error`.
 * @param {Asked} asked
 * @param {import('./shapes.js').Answer} answer
 * @param {(piece: string) => void} onPiece '' when something else changed
 */
export async function ask(asked, answer, onPiece) {
  try {
    if (asked.conversation.exchanges[asked.index].mode === 'documents' && !(await findSources(asked, answer))) return;
    onPiece('');
    await answerWithin(asked, answer, onPiece);
    markSources(answer.text, answer.sources);
  } catch (error) {
    if (error.name === 'AbortError') {
      answer.state = 'cancelled';
      return;
    }
    if (!(error instanceof EngineError)) console.error(error);
    answer.state = 'error';
    answer.error = { kind: error.kind ?? 'unknown', detail: error.detail ?? String(error.message) };
  }
}

/** Asks, and asks again with less when the server counts more tokens than the page did. */
async function answerWithin(asked, answer, onPiece) {
  const { engine, model, settings, weights, signal } = asked;
  for (let attempt = 0; ; attempt += 1) {
    const messages = fit(asked, answer);
    onPiece('');
    try {
      for await (const event of engine.chat({ model: model.id, messages, sampling: sampling(asked), signal })) {
        if (!('done' in event)) {
          answer.text += event.text;
          onPiece(event.text);
          continue;
        }
        Object.assign(
          answer,
          { usage: event.usage, tokensPerSecond: event.tokensPerSecond, firstTokenMs: event.firstTokenMs },
        );
        answer.state = event.reason === 'length' ? 'length' : 'stop';
        if (event.usage) weights.learn(model.id, messages, event.usage.prompt_tokens);
      }
      return;
    } catch (error) {
      const shorter = error.kind === 'long' && answer.text === '' && attempt < RETRIES && !smallest(asked, answer);
      if (!shorter) throw error;
      weights.raise(model.id);
      if (asked.settings.max_tokens === null || attempt > 0) dropOne(asked, answer);
    }
  }
}

/** What the user set, and the mode's temperature; a limit never reaches beyond the context. */
function sampling({ conversation, index, settings, model }) {
  const chosen = { temperature: settings.temperature ?? MODES[conversation.exchanges[index].mode].temperature };
  for (const name of ['top_p', 'top_k', 'min_p', 'max_tokens', 'seed']) {
    if (settings[name] !== null) chosen[name] = settings[name];
  }
  if (chosen.max_tokens && model.context) chosen.max_tokens = Math.min(
    chosen.max_tokens,
    reserveFor(model.context, chosen.max_tokens),
  );
  return chosen;
}

/** Messages that fit the context; the oldest turns, then the last passages are left out, and `answer` says so. */
function fit(asked, answer) {
  const { model, weights, settings } = asked;
  const room = model.context ? model.context - reserveFor(model.context, settings.max_tokens) : Infinity;
  for (;;) {
    const messages = compose(asked, answer);
    if (weights.tokens(model.id, messages) <= room || smallest(asked, answer)) return messages;
    dropOne(asked, answer);
  }
}

function smallest({ index }, answer) {
  return answer.readFrom >= index && answer.sources.length <= 1;
}

function dropOne({ index }, answer) {
  if (answer.readFrom < index) answer.readFrom += 1;
  else answer.sources.pop();
}

/** @returns {import('./shapes.js').Message[]} */
function compose({ conversation, index, settings, model }, answer) {
  const exchange = conversation.exchanges[index];
  const system = systemPrompt(exchange.mode, exchange.question, settings.system, model.context);
  const messages = system ? [{ role: 'system', content: system }] : [];
  if (MODES[exchange.mode].history) {
    for (const earlier of conversation.exchanges.slice(answer.readFrom, index)) {
      const said = earlier.answers[earlier.active]?.text;
      if (!said) continue;
      const content = userPrompt(earlier.mode, earlier.choice, earlier.question, [], model.context);
      messages.push({ role: 'user', content }, { role: 'assistant', content: said });
    }
  } else {
    answer.readFrom = index;
  }
  const passages = answer.sources.map((source) => source.text);
  messages.push({
    role: 'user',
    content: userPrompt(exchange.mode, exchange.choice, exchange.question, passages, model.context),
  });
  return messages;
}

/** Ranks the passages and keeps the best as sources; false when none has a word of the question. */
async function findSources(asked, answer) {
  const { engine, library, conversation, index, model, signal, words } = asked;
  const all = library.passages(model.context);
  const question = conversation.exchanges[index].question;
  const ranked = await engine.rank(question, all.map(({ passage }) => passage.text), RANKED, signal);
  const best = ranked.filter(({ score }) => score > 0).slice(
    0,
    isTiny(model.context) ? MOST_PASSAGES_TINY : MOST_PASSAGES,
  );
  answer.sources = best.map(({ index: place }, order) => {
    const { document, passage } = all[place];
    const where = document.paged
      ? words.say('place.page', { page: passage.page })
      : words.say('place.paragraph', { paragraph: passage.paragraph });
    return {
      number: order + 1,
      documentId: document.id,
      document: document.name,
      place: passage.heading ? `${passage.heading} · ${where}` : where,
      text: passage.text,
    };
  });
  if (best.length === 0) answer.state = 'nothing';
  return best.length > 0;
}
