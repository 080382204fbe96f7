/** Server-sent events from a byte stream; letters and lines may be cut anywhere. */

/**
 * The JSON of each event until `[DONE]` or the end.
 * @param {ReadableStream<Uint8Array>} bytes
 * @returns {AsyncGenerator<any>}
 */
export async function* readEvents(bytes) {
  const reader = bytes.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true });
      const events = rest.split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const data = dataOf(event);
        if (data === '[DONE]') return;
        if (data) yield JSON.parse(data);
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** The lines `data:` of an event, joined; comments and other fields are left out. */
function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
  return lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n');
}
