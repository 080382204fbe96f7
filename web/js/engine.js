/** Chooses who answers: the server that sent this page, or the model inside it. Nothing else here knows which. */

/** What went wrong, in one of a few kinds that the page has words for. */
export class EngineError extends Error {
  /**
   * @param {'gone'|'key'|'busy'|'long'|'refused'|'broken'|'storage'|'memory'} kind
   * @param {string} detail what the other side said
   * @param {number} [retryAfter] seconds
   */
  constructor(kind, detail = '', retryAfter = 0) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/** @returns {Promise<import('./shapes.js').Engine>} */
export async function openEngine() {
  const config = await readConfig();
  const module = config.engine === 'wllama' ? await import('./engine-wllama.js') : await import('./engine-server.js');
  return module.createEngine(config);
}

async function readConfig() {
  try {
    const response = await fetch('config.json');
    return response.ok ? await response.json() : { engine: 'server' };
  } catch {
    return { engine: 'server' };
  }
}
