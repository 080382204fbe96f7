/**
 * The shapes that modules hand to each other; types only, nothing runs here.
 *
 * @typedef {'assistant'|'translate'|'tutor'|'write'|'documents'} ModeName
 * @typedef {'ko'|'en'} Language
 *
 * @typedef {{role: 'system'|'user'|'assistant', content: string}} Message
 * @typedef {{id: string, context: number}} Model
 * @typedef {{prompt_tokens: number, completion_tokens: number}} Usage
 * @typedef {{temperature?: number, top_p?: number, top_k?: number, min_p?: number, max_tokens?: number, seed?: number}} Sampling
 * @typedef {{model: string, messages: Message[], sampling: Sampling, signal: AbortSignal}} ChatRequest
 * @typedef {{text: string}} ChatPiece
 * @typedef {{done: true, reason: string, usage: Usage|null, tokensPerSecond: number|null, firstTokenMs: number|null}} ChatEnd
 * @typedef {{stage: 'check'|'download'|'load', loaded?: number, total?: number, rate?: number}} Progress rate in bytes a second
 *
 * What an engine must do; engine-server.js and engine-wllama.js do it.
 * @typedef {object} Engine
 * @property {(onProgress: (progress: Progress) => void) => Promise<void>} prepare storage and memory check, download, load
 * @property {() => Promise<Model[]>} models
 * @property {(request: ChatRequest) => AsyncIterable<ChatPiece|ChatEnd>} chat
 * @property {(query: string, passages: string[], count: number, signal?: AbortSignal) => Promise<{index: number, score: number}[]>} rank best first; passages without a common word are left out or score 0
 * @property {(file: File) => Promise<string[]|null>} textOf pages of a PDF, null where it cannot
 * @property {(onChange: (alive: boolean) => void) => void} [watch] tells when the engine goes and comes back
 * @property {(key: string) => void} [setKey] the API key for later requests
 * @property {() => Promise<{label: string, value: string}[]>} [sheet] lines about the model and this device
 * @property {() => HTMLElement} [panel] a section of its own in the settings
 * @property {() => Promise<void>} [erase] removes what the engine keeps on this device
 *
 * One passage that an answer was given, kept with the answer so that it opens after the document is gone.
 * @typedef {{number: number, documentId: string, document: string, place: string, text: string, cited?: boolean, supports?: boolean}} Source
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
 * @typedef {{id: string, title: string, named: boolean, mode: ModeName, created: number, updated: number, exchanges: Exchange[]}} Conversation
 *
 * @typedef {{id: string, name: string, size: number, added: number, pages: string[], paged: boolean}} StoredDocument
 */
export {};
