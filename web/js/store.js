/**
 * What the page keeps, all of it in this browser: conversations and documents in IndexedDB, settings in localStorage.
 * Where the browser keeps nothing (a private window), the same calls work in memory and `lasting` is false.
 */

const NAME = 'dotori';
const SHELVES = ['conversations', 'documents'];
const SETTINGS = 'dotori.settings';

/** Opens the page's storage. @returns {Promise<Store>} */
export async function openStore() {
  try {
    return new Store(await openDatabase());
  } catch {
    return new Store(null);
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      for (const name of SHELVES) request.result.createObjectStore(name, { keyPath: 'id' });
    };
    request.onsuccess = () => {
      // Another tab erases everything: let go, or its deletion waits for us.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('storage is blocked'));
  });
}

/** Two shelves of records with an `id`. */
export class Store {
  /** @param {IDBDatabase|null} database */
  constructor(database) {
    this.database = database;
    this.lasting = database !== null;
    this.memory = Object.fromEntries(SHELVES.map((name) => [name, new Map()]));
  }

  /**
   * Every record of a shelf.
   * @param {'conversations'|'documents'} shelf
   * @returns {Promise<any[]>}
   */
  async all(shelf) {
    if (!this.database) return [...this.memory[shelf].values()].map((record) => structuredClone(record));
    return this.run(shelf, 'readonly', (records) => records.getAll());
  }

  /**
   * Keeps a record; throws a DOMException named QuotaExceededError when the browser's storage is full.
   * @param {'conversations'|'documents'} shelf
   * @param {{id: string}} record
   */
  async put(shelf, record) {
    if (!this.database) this.memory[shelf].set(record.id, structuredClone(record));
    else await this.run(shelf, 'readwrite', (records) => records.put(record));
  }

  /**
   * @param {'conversations'|'documents'} shelf
   * @param {string} id
   */
  async remove(shelf, id) {
    if (!this.database) this.memory[shelf].delete(id);
    else await this.run(shelf, 'readwrite', (records) => records.delete(id));
  }

  /** Leaves nothing behind: both shelves, settings, the API key and cached files of the page. */
  async eraseEverything() {
    this.database?.close();
    Object.values(this.memory).forEach((records) => records.clear());
    this.database = null;
    await new Promise((resolve) => {
      const request = indexedDB.deleteDatabase(NAME);
      request.onsuccess = request.onerror = request.onblocked = resolve;
    }).catch(() => undefined);
    localStorage.clear();
    sessionStorage.clear();
    // The installed app itself stays, or it could not open without a network; it holds nothing of the user.
    const names = 'caches' in globalThis ? await caches.keys() : [];
    const gone = names.filter((name) => !name.startsWith('dotori-shell-'));
    await Promise.all(gone.map((name) => caches.delete(name)));
  }

  run(shelf, access, use) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(shelf, access);
      const request = use(transaction.objectStore(shelf));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  }
}

/** What a fresh page begins with; null means "automatic". */
export const FRESH_SETTINGS = Object.freeze({
  theme: 'system',
  language: 'system',
  model: '',
  mode: 'assistant',
  system: '',
  temperature: null,
  top_p: null,
  top_k: null,
  min_p: null,
  max_tokens: null,
  seed: null,
  ratios: {},
});

/** Settings as they were left; anything unreadable counts as fresh. */
export function readSettings() {
  try {
    return { ...FRESH_SETTINGS, ...JSON.parse(localStorage.getItem(SETTINGS) ?? '{}') };
  } catch {
    return { ...FRESH_SETTINGS };
  }
}

/** @param {typeof FRESH_SETTINGS} settings */
export function writeSettings(settings) {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(settings));
  } catch {
    // A private window: settings last as long as the page.
  }
}
