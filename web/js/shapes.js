/**
 * The shapes that modules hand to each other; types only, nothing runs here.
 *
 * @typedef {'assistant'|'translate'|'tutor'|'write'|'documents'} ModeName
 * @typedef {'ko'|'en'} Language
 *
 * @typedef {{role: 'system'|'user'|'assistant', content: string}} Message
 * @typedef {{id: string, context: number}} Model
 * @typedef {{prompt_tokens: number, completion_tokens: number}} Usage
 * @typedef {Partial<Record<'temperature'|'top_p'|'top_k'|'min_p'|'max_tokens'|'seed', number>>} Sampling
 * @typedef {{model: string, messages: Message[], sampling: Sampling, signal: AbortSignal}} ChatRequest
 * @typedef {{text: string}} ChatPiece
 * @typedef {{usage: Usage|null, tokensPerSecond: number|null, firstTokenMs: number|null}} Figures
 * @typedef {{done: true, reason: string} & Figures} ChatEnd
 * @typedef {{stage: 'check'|'download'|'load', loaded?: number, total?: number, rate?: number}} Progress in bytes, the
 *   rate in bytes a second
 * @typedef {{index: number, score: number}} Ranked
 *
 * What an engine must do; engine-server.js and engine-wllama.js do it.
 * @typedef {object} Engine
 * @property {(onProgress: (progress: Progress) => void) => Promise<void>} prepare checks storage and memory, downloads,
 *   loads; throws an EngineError, after which the user may try again
 * @property {() => Promise<Model[]>} models
 * @property {(request: ChatRequest) => AsyncIterable<ChatPiece|ChatEnd>} chat
 * @property {(query: string, passages: string[], count: number, signal?: AbortSignal) => Promise<Ranked[]>} rank best
 *   first; passages without a common word are left out or score 0
 * @property {(file: File) => Promise<string[]|null>} textOf pages of a PDF, null where it cannot
 * @property {(onChange: (alive: boolean) => void) => void} [watch] tells when the engine goes and comes back
 * @property {(key: string) => void} [setKey] the API key for later requests
 * @property {() => Promise<{label: string, value: string}[]>} [sheet] lines about the model and this device
 * @property {() => HTMLElement} [panel] a section of its own in the settings
 * @property {() => Promise<void>} [erase] removes what the engine keeps on this device
 *
 * One passage that an answer was given, kept with the answer so that it opens after the document is gone.
 * @typedef {{number: number, documentId: string, document: string, place: string, text: string}} Passage
 * @typedef {Passage & {cited?: boolean, supports?: boolean}} Source named by the answer; holds most of its words
 *
 * @typedef {object} Answer
 * @property {string} text
 * @property {string} model
 * @property {'running'|'stop'|'length'|'cancelled'|'error'|'nothing'} state
 * @property {Usage|null} usage
 * @property {number|null} tokensPerSecond
 * @property {number|null} firstTokenMs
 * @property {number} readFrom the first exchange that the model read
 * @property {number} context the model's context when it answered
 * @property {Source[]} sources
 * @property {{kind: string, detail: string}|null} error
 *
 * @typedef {{id: string, mode: ModeName, choice: string, question: string, answers: Answer[], active: number}} Exchange
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {boolean} named whether the user named it
 * @property {ModeName} mode of the next question
 * @property {number} created
 * @property {number} updated
 * @property {Exchange[]} exchanges
 *
 * @typedef {{id: string, name: string, size: number, added: number, pages: string[], paged: boolean}} StoredDocument
 */
export {};
