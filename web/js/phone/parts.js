/**
 * The model's parts on this device. Each part is fetched, checked against its SHA-256 and kept before the next one is
 * asked for, so a download that breaks off loses one part at most, and no more than one part is in memory.
 */
import { EngineError } from '../engine.js';
import { checkStorage } from './device.js';
import { megabytes, say } from './words.js';

const SILENCE_MS = 30000; // without a byte, then the line counts as broken
const NAME = 'dotori-model'; // the folder, and the cache where there is no writable folder

/** @typedef {{path: string, bytes: number, sha256: string}} Part */

/** Files in the origin's private file system: they are read where they lie, so memory holds no second copy. */
class FolderShelf {
  constructor(folder) {
    this.folder = folder;
  }

  static async open() {
    if (!('FileSystemFileHandle' in globalThis) || !('createWritable' in FileSystemFileHandle.prototype)) return null;
    try {
      const root = await navigator.storage.getDirectory();
      return new FolderShelf(await root.getDirectoryHandle(NAME, { create: true }));
    } catch {
      return null; // a private window, or storage is switched off
    }
  }

  async get(name) {
    try {
      return await (await this.folder.getFileHandle(name)).getFile();
    } catch {
      return null;
    }
  }

  async put(name, data) {
    const handle = await this.folder.getFileHandle(name, { create: true });
    const writer = await handle.createWritable(); // a copy that takes the name's place when it is closed
    try {
      await writer.write(data);
      await writer.close();
    } catch (error) {
      await writer.abort().catch(() => undefined);
      await this.remove(name);
      throw error;
    }
  }

  async remove(name) {
    await this.folder.removeEntry(name).catch(() => undefined);
  }

  async names() {
    const names = [];
    for await (const name of this.folder.keys()) names.push(name);
    return names;
  }
}

/** The same in Cache Storage, for browsers whose private file system pages cannot write. */
class CacheShelf {
  constructor(cache) {
    this.cache = cache;
  }

  static async open() {
    return 'caches' in globalThis ? new CacheShelf(await caches.open(NAME)) : null;
  }

  async get(name) {
    return (await (await this.cache.match(`/${name}`))?.blob()) ?? null;
  }

  async put(name, data) {
    await this.cache.put(`/${name}`, new Response(data));
  }

  async remove(name) {
    await this.cache.delete(`/${name}`);
  }

  async names() {
    return (await this.cache.keys()).map((request) => new URL(request.url).pathname.slice(1));
  }
}

/** Nothing lasting: an app package has its parts at hand anyway. */
class NoShelf {
  constructor() {
    this.kept = new Map();
  }

  async get(name) {
    return this.kept.get(name) ?? null;
  }

  async put(name, data) {
    this.kept.set(name, new Blob([data]));
  }

  async remove(name) {
    this.kept.delete(name);
  }

  async names() {
    return [...this.kept.keys()];
  }
}

/** @param {boolean} bundled the parts come with the app */
export async function openParts(bundled) {
  const shelf = (!bundled && ((await FolderShelf.open()) ?? (await CacheShelf.open()))) || new NoShelf();
  return new Parts(shelf, bundled);
}

export class Parts {
  /** @param {any} shelf @param {boolean} bundled */
  constructor(shelf, bundled) {
    this.shelf = shelf;
    this.bundled = bundled;
    this.checked = new Set();
  }

  /**
   * Parts that are on the device and whole; damaged ones are thrown away.
   * @param {Part[]} parts
   */
  async present(parts) {
    const whole = [];
    for (const part of parts) {
      const file = await this.shelf.get(part.sha256);
      if (!file) continue;
      const known = this.checked.has(part.sha256) && file.size === part.bytes;
      if (known || (file.size === part.bytes && (await hashOf(await file.arrayBuffer())) === part.sha256)) {
        this.checked.add(part.sha256);
        whole.push(part);
      } else {
        await this.shelf.remove(part.sha256);
      }
    }
    return whole;
  }

  /**
   * Fetches what is missing; throws an EngineError that says how to go on.
   * @param {Part[]} parts
   * @param {(loaded: number, rate: number) => void} onProgress bytes that are there, bytes a second
   */
  async fetchMissing(parts, onProgress) {
    const there = new Set((await this.present(parts)).map((part) => part.sha256));
    const missing = parts.filter((part) => !there.has(part.sha256));
    if (missing.length === 0) return;
    if (!this.bundled) await checkStorage(bytesOf(missing));
    const total = bytesOf(parts);
    const began = performance.now();
    const before = total - bytesOf(missing);
    let kept = before;
    const tell = (loaded) => onProgress(loaded, ((loaded - before) * 1000) / Math.max(performance.now() - began, 1));
    tell(kept);
    for (const part of missing) {
      const data = await fetchPart(part, (came) => tell(kept + came)).catch((error) => {
        throw this.broken(error, part, kept, total);
      });
      if ((await hashOf(data)) !== part.sha256) throw new EngineError('damaged', say('damaged', { name: part.path }));
      await this.shelf.put(part.sha256, data).catch((error) => {
        if (error.name !== 'QuotaExceededError') throw error;
        throw new EngineError('storage', say('storageFull', { loaded: megabytes(kept) }));
      });
      this.checked.add(part.sha256);
      kept += part.bytes;
      tell(kept);
    }
  }

  broken(error, part, kept, total) {
    if (error instanceof EngineError) return error;
    if (!navigator.onLine && kept === 0) return new EngineError('offline', say('offline'));
    return new EngineError('offline', say('network', { loaded: megabytes(kept), total: megabytes(total) }));
  }

  /** The model as one Blob over the parts; nothing is copied. @param {Part[]} parts */
  async whole(parts) {
    return new Blob(await Promise.all(parts.map((part) => this.shelf.get(part.sha256))));
  }

  /** Removes every part but these. @param {Part[]} parts */
  async removeOthers(parts) {
    const wanted = new Set(parts.map((part) => part.sha256));
    for (const name of await this.shelf.names()) if (!wanted.has(name)) await this.shelf.remove(name);
  }
}

function bytesOf(parts) {
  return parts.reduce((bytes, part) => bytes + part.bytes, 0);
}

async function hashOf(data) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One part's bytes; a server that sends more or less than it should is not believed. */
async function fetchPart(part, onBytes) {
  const silence = new AbortController();
  const response = await fetch(part.path, { cache: 'no-store', redirect: 'error', signal: silence.signal });
  if (!response.ok || !response.body) throw new Error(`${part.path}: ${response.status}`);
  const data = new Uint8Array(part.bytes);
  const reader = response.body.getReader();
  let came = 0;
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) break;
    if (came + value.length > part.bytes) throw new EngineError('damaged', say('damaged', { name: part.path }));
    data.set(value, came);
    came += value.length;
    onBytes(came);
  }
  // Fewer bytes than published is a line that broke, or the wrong file; the hash tells them apart no better.
  if (came !== part.bytes) throw new Error(`${part.path}: ${came} of ${part.bytes} bytes`);
  return data;
}
