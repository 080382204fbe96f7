/** Conversations as a JSON file: out, and in again with every field checked, since the file may come from anyone. */
import { MODE_NAMES, MODES } from './modes.js';

const FORMAT = 'dotori-conversations';
const STATES = ['stop', 'length', 'cancelled', 'error', 'nothing'];

/** @param {import('./shapes.js').Conversation[]} conversations */
export function exportText(conversations) {
  return JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);
}

/**
 * The conversations of an exported file; throws an Error for anything else.
 * @param {string} text
 * @returns {import('./shapes.js').Conversation[]}
 */
export function importText(text) {
  const data = JSON.parse(text);
  if (data?.format !== FORMAT || !Array.isArray(data.conversations)) throw new Error('not an export');
  return data.conversations.map(conversationOf);
}

function conversationOf(given) {
  return {
    id: line(given.id, 80) || newId(),
    title: line(given.title, 200),
    named: Boolean(given.named),
    mode: modeOf(given.mode),
    created: time(given.created),
    updated: time(given.updated),
    exchanges: list(given.exchanges).map(exchangeOf),
  };
}

function exchangeOf(given) {
  const answers = list(given.answers).map(answerOf);
  const mode = modeOf(given.mode);
  const choice = MODES[mode].choices.includes(given.choice) ? given.choice : (MODES[mode].choices[0] ?? '');
  const asked = Number.isInteger(given.active) ? given.active : -1;
  const active = answers[asked] ? asked : Math.max(answers.length - 1, 0);
  return { id: newId(), mode, choice, question: line(given.question, 1_000_000), answers, active };
}

function answerOf(given) {
  const usage = given.usage && {
    prompt_tokens: number(given.usage.prompt_tokens) ?? 0,
    completion_tokens: number(given.usage.completion_tokens) ?? 0,
  };
  return {
    text: line(given.text, 1_000_000),
    model: line(given.model, 200),
    state: STATES.includes(given.state) && given.state !== 'error' ? given.state : 'stop',
    usage: usage ?? null,
    tokensPerSecond: number(given.tokensPerSecond),
    firstTokenMs: number(given.firstTokenMs),
    readFrom: number(given.readFrom) ?? 0,
    context: number(given.context) ?? 0,
    sources: list(given.sources).map(sourceOf),
    error: null,
  };
}

function sourceOf(given, index) {
  return {
    number: index + 1,
    documentId: line(given.documentId, 80),
    document: line(given.document, 1000),
    place: line(given.place, 500),
    text: line(given.text, 100_000),
    cited: Boolean(given.cited),
    supports: Boolean(given.supports),
  };
}

function modeOf(name) {
  return MODE_NAMES.includes(name) ? name : 'assistant';
}

function line(value, most) {
  return typeof value === 'string' ? value.slice(0, most) : '';
}

function list(value) {
  return Array.isArray(value) ? value.filter((one) => one && typeof one === 'object') : [];
}

function number(value) {
  return Number.isFinite(value) && value >= 0 ? value : null;
}

function time(value) {
  return number(value) ?? Date.now();
}

/** A name for a record that no other one has; also where the page is not served securely. */
export function newId() {
  return crypto.randomUUID?.() ?? Array.from(
    crypto.getRandomValues(new Uint32Array(4)),
    (part) => part.toString(16),
  ).join('-');
}
