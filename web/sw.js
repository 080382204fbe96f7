/**
 * Keeps the app on the device: every file of the shell is fetched once, checked against its hash, and served from the
 * cache from then on, with or without a network. `dotori export web` fills in the three lists; the server's chat page
 * never registers this file.
 */

const VERSION = 'none';
const SHELL = {}; // path -> integrity; needed to open the app
const EXTRA = {}; // the same for files that only some browsers need; kept when they are first used

const PREFIX = 'dotori-shell-';
const CACHE = PREFIX + VERSION;

addEventListener('install', (event) => event.waitUntil(install()));

async function install() {
  const cache = await caches.open(CACHE);
  // All or nothing: a file that is missing or altered keeps the older version in place.
  const have = async (path) => (await cache.match(path)) ?? keep(cache, path, SHELL[path]);
  await Promise.all(Object.keys(SHELL).map(have));
}

async function keep(cache, path, integrity) {
  const response = await fetch(path, { cache: 'no-cache', integrity, redirect: 'error' });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await cache.put(path, response.clone());
  return response;
}

addEventListener('activate', (event) => event.waitUntil(activate()));

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  await clients.claim();
}

addEventListener('fetch', (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== 'GET' || address.origin !== location.origin) return;
  const path = pathOf(request, address);
  if (path in SHELL || path in EXTRA) event.respondWith(serve(path));
});

/** The shell's name for an address; any page of the app is index.html. */
function pathOf(request, address) {
  const root = new URL(registration.scope).pathname;
  const path = address.pathname.startsWith(root) ? address.pathname.slice(root.length) : '';
  return request.mode === 'navigate' && (path === '' || path === 'index.html') ? 'index.html' : path;
}

async function serve(path) {
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? keep(cache, path, SHELL[path] ?? EXTRA[path]);
}
