/** The text of a PDF's pages, read on the device by pdf.js. */
import { EngineError } from '../engine.js';

/**
 * @param {File} file
 * @param {string} folder of pdf.js inside the app
 * @returns {Promise<string[]>}
 */
export async function pagesOf(file, folder) {
  const pdf = await import(`../../${folder}/pdf.js`);
  pdf.GlobalWorkerOptions.workerSrc = new URL(`${folder}/pdf.worker.js`, document.baseURI).href;
  const task = pdf.getDocument({
    data: new Uint8Array(await file.arrayBuffer()),
    cMapUrl: new URL(`${folder}/cmaps/`, document.baseURI).href,
    cMapPacked: true,
    disableFontFace: true,
    useSystemFonts: false,
    useWasm: false,
    verbosity: 0,
  });
  try {
    const book = await task.promise;
    const pages = [];
    for (let number = 1; number <= book.numPages; number += 1) {
      const content = await (await book.getPage(number)).getTextContent();
      pages.push(content.items.map((item) => (item.str ?? '') + (item.hasEOL ? '\n' : '')).join(''));
    }
    return pages;
  } catch (error) {
    throw new EngineError('refused', String(error.message ?? error).slice(0, 300));
  } finally {
    await task.destroy();
  }
}
