/** Answers from the model inside this device: llama.cpp as WebAssembly (wllama), one conversation at a time. */
import { EngineError } from './engine.js';
import { askToKeep, chooseBuild, fittingContext, memoryNeeded, threads } from './phone/device.js';
import { Measure } from './phone/measure.js';
import { openParts } from './phone/parts.js';
import { plain, promptText } from './phone/prompt.js';
import { drawSheet } from './phone/sheet.js';
import { keepShell } from './phone/shell.js';
import { megabytes, say } from './phone/words.js';

const UNASKED_BYTES = 20e6; // a smaller model comes without a question
const ENGINE = 'vendor/wllama.js';
const WASM = 'vendor/wllama.wasm';
const COMPAT = { worker: 'vendor/wllama-compat.js', wasm: 'vendor/wllama-compat.wasm' };
// What the page leaves to the model is the same as on the computer: no cut of the distribution, no penalty.
const NEUTRAL = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repeat_penalty: 1 };
// Any text: bytes that are no UTF-8, which small models write now and then, would kill the engine.
const ANY_TEXT = String.raw`root ::= [\x01-\uD7FF\uE000-\U0010FFFF]*`;

/** @param {any} config config.json */
export function createEngine(config) {
  return new PhoneEngine(config);
}

class PhoneEngine {
  constructor(config) {
    this.config = config;
    this.parts = null;
    this.wllama = null;
    this.warned = false;
    this.agreed = false;
    this.facts = { build: 'default', threads: 1, context: config.context, lasting: false, offline: false };
    this.last = { firstTokenMs: null, tokensPerSecond: null };
    this.measure = new Measure(this);
    this.onFacts = () => undefined;
  }

  /** @param {(progress: import('./shapes.js').Progress) => void} onProgress */
  async prepare(onProgress) {
    onProgress({ stage: 'check' });
    if (!isSecureContext) throw new EngineError('unsupported', say('insecure'));
    const { config, facts } = this;
    facts.build = chooseBuild(config.compat);
    facts.threads = threads();
    facts.context = this.fit();
    this.parts ??= await openParts(config.bundled);
    if (!config.bundled) {
      facts.lasting = await askToKeep();
      facts.offline = await keepShell();
    }
    const { parts } = config.model;
    await this.askFirst(parts);
    const told = (loaded, rate) => onProgress({ stage: 'download', loaded, total: config.model.bytes, rate });
    await this.parts.fetchMissing(parts, told);
    await this.parts.removeOthers(parts);
    onProgress({ stage: 'load' });
    await this.open();
    this.onFacts();
  }

  /** A large download waits for the user's word, and so does any after everything was erased. */
  async askFirst(parts) {
    const { bytes } = this.config.model;
    const wanted = bytes > UNASKED_BYTES || history.state?.erased;
    if (this.config.bundled || this.agreed || !wanted || (await this.parts.present(parts)).length > 0) return;
    this.agreed = true;
    throw new EngineError('ask', say('ask', { size: megabytes(bytes) }));
  }

  fit() {
    try {
      return fittingContext(this.config, this.warned);
    } catch (error) {
      this.warned = true; // the user was told; the next try opens it anyway
      throw error;
    }
  }

  async open() {
    await this.close();
    const { Wllama } = await import(`../${ENGINE}`);
    const quiet = { debug() {}, log() {}, warn() {}, error() {} };
    // Its own switch for silence costs a tenth of the speed: it makes every message and then drops it.
    const wllama = new Wllama({ default: WASM }, { logger: quiet });
    wllama.setCompat(this.facts.build === 'compat' ? absolute(COMPAT) : null, 'firefox_safari');
    const model = await this.parts.whole(this.config.model.parts);
    const { context: n_ctx, threads: n_threads } = this.facts;
    const sizes = { n_ctx, n_threads, n_parallel: 1, n_gpu_layers: 0, n_batch: Math.min(n_ctx, 512) };
    try {
      await wllama.loadModel([model], sizes);
    } catch (error) {
      await wllama.exit().catch(() => undefined);
      const text = String(error?.message ?? error);
      if (/memory|alloc|OOM|RangeError/i.test(text)) throw new EngineError('memory', say('memoryLoad'));
      throw new EngineError('unknown', text.slice(0, 300));
    }
    this.wllama = wllama;
  }

  async close() {
    await this.wllama?.exit().catch(() => undefined);
    this.wllama = null;
  }

  async models() {
    return [{ id: this.config.name, context: this.facts.context }];
  }

  /** @param {import('./shapes.js').ChatRequest} request */
  async *chat({ messages, sampling, signal }) {
    signal?.throwIfAborted();
    if (!this.wllama) await this.open();
    const began = performance.now();
    let first = null;
    let reason = 'stop';
    let usage = null;
    let timings = null;
    for await (const chunk of this.stream(messages, sampling, signal)) {
      const choice = chunk.choices?.[0];
      usage = chunk.usage ?? usage;
      timings = chunk.timings ?? timings;
      reason = choice?.finish_reason ?? reason;
      const text = choice?.text ?? choice?.delta?.content;
      if (!text) continue;
      first ??= performance.now() - began;
      yield { text };
    }
    const tokensPerSecond = timings?.predicted_n > 1 ? timings.predicted_per_second : null;
    this.last = { firstTokenMs: first, tokensPerSecond };
    this.onFacts();
    yield { done: true, reason, usage: usageOf(usage, timings), tokensPerSecond, firstTokenMs: first };
  }

  /** The engine's chunks; an engine that died is thrown away, and the next question starts another. */
  async *stream(messages, sampling, signal) {
    const { chat } = this.config;
    const options = { grammar: ANY_TEXT, ...NEUTRAL, ...sampling, max_tokens: sampling.max_tokens ?? -1, stream: true };
    if (options.temperature === 0) options.top_k = 1; // the same token, without sorting the vocabulary
    const queue = new Queue();
    const onData = (chunk) => queue.push(chunk);
    // Read anew before every token by the engine; written out as JSON it is an empty object, which is ignored.
    const own = { ...options, abortSignal: signal, onData };
    const run =
      chat.kind === 'pieces'
        ? this.wllama.createCompletion({ ...own, prompt: promptText(chat, messages) })
        : this.wllama.createChatCompletion({
            ...own,
            messages: messages.map(({ role, content }) => ({ role, content: plain(content, chat.control) })),
          });
    run.then(() => queue.end(), (error) => queue.end(error));
    try {
      yield* queue.all();
    } catch (error) {
      throw await this.explain(error);
    }
  }

  async explain(error) {
    if (error.name === 'AbortError') return new DOMException('stopped', 'AbortError');
    const text = String(error?.message ?? error);
    if (/context/i.test(text)) return new EngineError('long', text);
    await this.close();
    return new EngineError('engine', `${say('engine')} (${text.slice(0, 120)})`);
  }

  async rank(query, passages, count) {
    const { rank } = await import('./phone/rank.js');
    return rank(query, passages, count);
  }

  async textOf(file) {
    if (!this.config.pdf) throw new EngineError('refused', say('noPdf'));
    const { pagesOf } = await import('./phone/pdf.js');
    return pagesOf(file, 'vendor/pdfjs');
  }

  /** The sheet in the settings panel: what runs here, how fast, and what it keeps. */
  panel() {
    return drawSheet(this);
  }

  get memory() {
    return memoryNeeded(this.config, this.facts.context);
  }

  /** Removes the model from this device; conversations and settings are the page's. */
  async erase() {
    await this.close();
    await this.parts?.removeOthers([]);
    history.replaceState({ ...history.state, erased: true }, '');
  }
}

function absolute(paths) {
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, new URL(path, document.baseURI).href]));
}

function usageOf(usage, timings) {
  if (usage) return { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens };
  if (!timings) return null;
  return { prompt_tokens: timings.prompt_n + (timings.cache_n ?? 0), completion_tokens: timings.predicted_n };
}

/** Chunks from a callback to a loop. */
class Queue {
  constructor() {
    this.waiting = [];
    this.wake = () => undefined;
    this.over = false;
    this.error = null;
  }

  push(chunk) {
    this.waiting.push(chunk);
    this.wake();
  }

  end(error = null) {
    this.over = true;
    this.error = error;
    this.wake();
  }

  async *all() {
    for (;;) {
      while (this.waiting.length > 0) yield this.waiting.shift();
      if (this.error) throw this.error;
      if (this.over) return;
      await new Promise((resolve) => {
        this.wake = () => resolve(undefined);
      });
    }
  }
}
