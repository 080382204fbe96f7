/** How fast the model writes on this device, over a time long enough for a phone to get warm. */

const PROMPTS = ['오늘 있었던 일을 이야기해 주세요.', 'Tell me a story about a squirrel and an acorn.'];
const TOKENS = 96; // of one answer

/**
 * @typedef {object} Run
 * @property {number} seconds
 * @property {number} tokens
 * @property {number} answers
 * @property {number} firstTokenMs the median
 * @property {number} rate tokens a second over the whole time, reading the questions included
 * @property {number} firstRate
 * @property {number} lastRate
 * @property {number[]} rates of each answer, while it was written
 */

export class Measure {
  /** @param {any} engine */
  constructor(engine) {
    this.engine = engine;
    /** @type {Record<string, Run>} by the seconds that were asked for */
    this.runs = {};
    this.stop = null;
  }

  /**
   * Answers fixed questions, each from an empty cache, for so many seconds.
   * @param {number} seconds
   * @param {(left: number, rate: number) => void} onProgress
   * @returns {Promise<Run|null>} null when it was stopped
   */
  async run(seconds, onProgress) {
    this.stop = new AbortController();
    const lock = await /** @type {any} */ (navigator).wakeLock?.request('screen').catch(() => null);
    const began = performance.now();
    const answers = [];
    try {
      for (let turn = 0; performance.now() - began < seconds * 1000 && !this.stop.signal.aborted; turn += 1) {
        const answer = await this.answer(turn);
        if (answer === null) break;
        answers.push(answer);
        onProgress(Math.max(seconds - (performance.now() - began) / 1000, 0), answer.rate);
      }
    } finally {
      await lock?.release();
    }
    // A run that was stopped says nothing about the time it was meant for.
    return this.stop.signal.aborted ? null : this.keep(seconds, (performance.now() - began) / 1000, answers);
  }

  async answer(turn) {
    const began = performance.now();
    // The number makes each question new, so that no earlier work is reused.
    const messages = [{ role: 'user', content: `${turn + 1}. ${PROMPTS[turn % PROMPTS.length]}` }];
    const sampling = { temperature: 0, max_tokens: TOKENS, ignore_eos: true };
    let first = null;
    let end = null;
    try {
      for await (const event of this.engine.chat({ messages, sampling, signal: this.stop.signal })) {
        if ('done' in event) end = event;
        else first ??= performance.now() - began;
      }
    } catch (error) {
      if (error.name === 'AbortError') return null;
      throw error;
    }
    const tokens = end.usage?.completion_tokens ?? 0;
    const writing = (performance.now() - began - (first ?? 0)) / 1000;
    return { tokens, first: first ?? 0, rate: tokens > 1 && writing > 0 ? (tokens - 1) / writing : 0 };
  }

  keep(asked, seconds, answers) {
    const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
    const rates = answers.map((answer) => Number(answer.rate.toFixed(2)));
    const run = {
      seconds: Number(seconds.toFixed(1)),
      tokens,
      answers: answers.length,
      firstTokenMs: Math.round(median(answers.map((answer) => answer.first))),
      rate: Number((tokens / Math.max(seconds, 0.001)).toFixed(2)),
      firstRate: rates[0] ?? 0,
      lastRate: rates.at(-1) ?? 0,
      rates,
    };
    this.runs[asked] = run;
    return run;
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
