/** What this browser and this device can do, asked before anything large is fetched or opened. */
import { EngineError } from '../engine.js';
import { megabytes, say } from './words.js';

const BASE_BYTES = 160e6; // engine, page and browser tab beside the model
const SHARE = 0.5; // of the device's memory that a tab can hope for
const LEAST_CONTEXT = 256;

// The smallest module that uses a SIMD instruction.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

function memory64() {
  try {
    return Boolean(new WebAssembly.Memory(/** @type {any} */ ({ address: 'i64', initial: 1n })));
  } catch {
    return false;
  }
}

/**
 * The build of the engine that runs here; throws an EngineError where none does.
 * @param {boolean} compatIncluded
 * @returns {'default'|'compat'}
 */
export function chooseBuild(compatIncluded) {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(SIMD)) {
    throw new EngineError('unsupported', say('unsupportedSimd'));
  }
  if ('Suspending' in WebAssembly && memory64()) return 'default';
  if (!compatIncluded) throw new EngineError('unsupported', say('unsupportedBuild'));
  return 'compat';
}

/** Threads: one, or up to four where the page is cross-origin isolated and the device has the cores. */
export function threads() {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.min(Math.max(Math.floor((navigator.hardwareConcurrency || 1) / 2), 1), 4);
}

/**
 * Memory in bytes that a model takes with a context of so many tokens.
 * @param {any} config config.json
 * @param {number} context
 */
export function memoryNeeded(config, context) {
  return config.model.bytes + config.memory.bytes_per_position * context + config.memory.scratch_bytes + BASE_BYTES;
}

/**
 * The context that fits this device's memory: the model's own, or half of it and so on.
 * @param {any} config
 * @param {boolean} anyway the user was told and wants to try
 */
export function fittingContext(config, anyway) {
  const told = /** @type {any} */ (navigator).deviceMemory;
  if (!told) return config.context;
  const room = told * 2 ** 30 * SHARE;
  for (let context = config.context; ; context = Math.floor(context / 2)) {
    if (memoryNeeded(config, context) <= room) return context;
    if (context / 2 >= LEAST_CONTEXT) continue;
    if (anyway) return context;
    const values = { need: megabytes(memoryNeeded(config, context)), have: megabytes(told * 2 ** 30) };
    throw new EngineError('memory', say('memory', values));
  }
}

/**
 * Throws an EngineError when `bytes` more do not fit the browser's storage.
 * @param {number} bytes
 */
export async function checkStorage(bytes) {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  if (quota === undefined || usage === undefined) return;
  const free = Math.max(quota - usage, 0);
  if (free < bytes) throw new EngineError('storage', say('storage', { need: megabytes(bytes), free: megabytes(free) }));
}

/** Asks the browser not to throw the model away when space gets short. */
export async function askToKeep() {
  try {
    return Boolean(await navigator.storage?.persist?.());
  } catch {
    return false;
  }
}
