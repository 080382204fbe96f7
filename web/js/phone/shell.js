/** Makes the page open without a network: waits until the service worker has the whole app, where there can be one. */

/**
 * Registers the service worker and waits until it serves this page; false where that is not possible (a page on plain
 * http, an app package, a browser without service workers), which is no error.
 * @returns {Promise<boolean>}
 */
export async function keepShell() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return false;
  try {
    const registration = await serviceWorker.register('sw.js', { updateViaCache: 'none' });
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    if (!registration.active) await settled(worker);
    if (!registration.active) return false;
    return await controlled(serviceWorker);
  } catch {
    // The network is gone or the host serves something else: an older worker may still be there.
    return Boolean(serviceWorker.controller);
  }
}

function settled(worker) {
  return new Promise((resolve) => {
    if (!worker || ['activated', 'redundant'].includes(worker.state)) return resolve(undefined);
    worker.addEventListener('statechange', () => {
      if (['activated', 'redundant'].includes(worker.state)) resolve(undefined);
    });
  });
}

/** The first visit is served by the network until the new worker claims it. */
function controlled(serviceWorker) {
  if (serviceWorker.controller) return true;
  return new Promise((resolve) => {
    serviceWorker.addEventListener('controllerchange', () => resolve(true), { once: true });
    setTimeout(() => resolve(Boolean(serviceWorker.controller)), 3000);
  });
}
