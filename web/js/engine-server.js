/** Answers from the server that sent this page, through the API that every tool speaks. */
import { EngineError } from './engine.js';
import { readEvents } from './sse.js';

const PULSE_MS = 15000; // between looks at a server that is there
const SEARCH_MS = 2000; // between looks for one that is gone
const BATCH_LETTERS = 1_500_000; // of passages in one request: the server reads 8 MiB
const BATCH_PASSAGES = 2000; // and 2048 documents
const BRIEF_SECONDS = 0.02; // a stream this short has no speed worth telling
const KEY = 'dotori.key';

/** @returns {import('./shapes.js').Engine} */
export function createEngine() {
  return new ServerEngine();
}

class ServerEngine {
  constructor() {
    this.key = readKey();
    this.model = '';
    this.alive = true;
    this.onChange = () => undefined;
    this.timer = 0;
  }

  async prepare() {}

  /** @param {string} key kept until the tab closes */
  setKey(key) {
    this.key = key;
    try {
      sessionStorage.setItem(KEY, key);
    } catch {
      // The key then lasts as long as the page.
    }
  }

  async models() {
    const body = await (await this.request('v1/models')).json();
    const models = body.data.map((model) => ({ id: String(model.id), context: contextOf(model) }));
    this.model ||= models[0]?.id ?? '';
    return models;
  }

  /** @param {import('./shapes.js').ChatRequest} request */
  async *chat({ model, messages, sampling, signal }) {
    this.model = model;
    const began = performance.now();
    const body = { model, messages, stream: true, stream_options: { include_usage: true }, ...sampling };
    const response = await this.request('v1/chat/completions', { body, signal });
    let first = null;
    let last = began;
    let pieces = 0;
    let reason = null;
    let usage = null;
    for await (const event of this.events(response)) {
      if (event.error) throw new EngineError('broken', String(event.error.message ?? ''));
      usage = event.usage ?? usage;
      const choice = event.choices?.[0];
      reason = choice?.finish_reason ?? reason;
      const text = choice?.delta?.content;
      if (!text) continue;
      last = performance.now();
      first ??= last;
      pieces += 1;
      yield { text };
    }
    if (reason === null) throw new EngineError('gone', 'the stream ended before the answer did');
    const tokens = usage?.completion_tokens ?? pieces;
    const seconds = (last - (first ?? last)) / 1000;
    yield {
      done: true,
      reason,
      usage,
      tokensPerSecond: tokens > 1 && seconds >= BRIEF_SECONDS ? (tokens - 1) / seconds : null,
      firstTokenMs: first === null ? null : first - began,
    };
  }

  async rank(query, passages, count, signal) {
    if (passages.length === 0) return [];
    const batches = cutBatches(passages);
    if (batches.length === 1) return this.rankBatch(query, passages, count, signal);
    // More than a request holds: the best of each batch, then the best of those.
    const best = [];
    for (const batch of batches) {
      const found = await this.rankBatch(query, batch.map((index) => passages[index]), count, signal);
      best.push(...found.filter(({ score }) => score > 0).map(({ index }) => batch[index]));
    }
    const ranked = await this.rank(query, best.map((index) => passages[index]), count, signal);
    return ranked.map(({ index, score }) => ({ index: best[index], score }));
  }

  async rankBatch(query, documents, count, signal) {
    const body = { model: this.model, query, documents, top_n: Math.min(count, documents.length) };
    const answer = await (await this.request('v1/rerank', { body, signal })).json();
    return answer.results.map((result) => ({ index: result.index, score: result.relevance_score }));
  }

  async textOf(file) {
    const headers = { 'Content-Type': file.type || 'application/pdf' };
    const answer = await (await this.request('documents/text', { raw: file, headers })).json();
    return answer.pages.map(String);
  }

  /** @param {(alive: boolean) => void} onChange */
  watch(onChange) {
    this.onChange = onChange;
    const look = async () => {
      clearTimeout(this.timer);
      if (document.visibilityState === 'visible') await this.pulse();
      this.timer = setTimeout(look, this.alive ? PULSE_MS : SEARCH_MS);
    };
    this.look = look;
    document.addEventListener('visibilitychange', look);
    addEventListener('online', look);
    this.timer = setTimeout(look, PULSE_MS);
  }

  async pulse() {
    try {
      await fetch('health', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
      this.setAlive(true);
    } catch {
      this.setAlive(false);
    }
  }

  setAlive(alive) {
    if (alive === this.alive) return;
    this.alive = alive;
    this.onChange(alive);
    if (!alive && this.look) {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.look, SEARCH_MS);
    }
  }

  async *events(response) {
    try {
      yield* readEvents(response.body);
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** One request; anything but success becomes an EngineError. */
  async request(path, { body, raw, headers = {}, signal } = {}) {
    const options = { headers: { ...headers }, signal, cache: 'no-store' };
    if (this.key) options.headers.Authorization = `Bearer ${this.key}`;
    if (body || raw) options.method = 'POST';
    if (body) options.headers['Content-Type'] = 'application/json';
    options.body = raw ?? (body && JSON.stringify(body));
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      throw this.explain(error);
    }
    this.setAlive(true);
    if (!response.ok) throw await refusal(response);
    return response;
  }

  explain(error) {
    if (error instanceof EngineError || error.name === 'AbortError') return error;
    this.setAlive(false);
    return new EngineError('gone', String(error.message));
  }
}

function readKey() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** Indices of passages in batches that a request holds. */
function cutBatches(passages) {
  const batches = [[]];
  let letters = 0;
  passages.forEach((passage, index) => {
    if (batches.at(-1).length >= BATCH_PASSAGES || (letters + passage.length > BATCH_LETTERS && letters > 0)) {
      batches.push([]);
      letters = 0;
    }
    batches.at(-1).push(index);
    letters += passage.length;
  });
  return batches;
}

/** Servers name a model's context differently; 0 where none of the names is there. */
function contextOf(model) {
  const value = model.context ?? model.context_length ?? model.max_model_len ?? model.meta?.n_ctx;
  return Number.isFinite(value) && value > 0 ? value : 0;
}

async function refusal(response) {
  const text = await response.text().catch(() => '');
  let detail = text.slice(0, 500);
  let code = '';
  try {
    const error = JSON.parse(text).error;
    detail = String(error.message ?? detail);
    code = String(error.code ?? '');
  } catch {
    // Not one of ours: a proxy, perhaps. Its text is all there is.
  }
  const retry = Number(response.headers.get('Retry-After')) || 0;
  if (response.status === 401) return new EngineError('key', detail);
  if (response.status === 429 || response.status === 503) return new EngineError('busy', detail, retry);
  if (response.status === 413 || /context/i.test(code) || (response.status === 400 && /context/i.test(detail))) {
    return new EngineError('long', detail);
  }
  return new EngineError(response.status < 500 ? 'refused' : 'broken', detail || String(response.status));
}
