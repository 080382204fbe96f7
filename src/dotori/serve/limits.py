"""Every limit of the server in one place. `/v1/models` shows them, docs/serve.md explains them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes or characters, times in seconds; what goes beyond is answered with 4xx, 429 or 503."""

    # Connections: time to send the headers, then the body; time a reader may stall while it is sent something.
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    stall_seconds: float = 60.0
    keep_alive_seconds: int = 15
    header_bytes: int = 32 << 10
    body_bytes: int = 8 << 20
    # A larger body is read and thrown away up to here, so that its sender sees the answer and not a broken pipe.
    discarded_bytes: int = 64 << 20
    bodies_bytes: int = 128 << 20
    connections: int = 768
    requests: int = 256

    # JSON: nesting, values in one body, digits of its numbers.
    json_depth: int = 64
    json_values: int = 300_000

    # Generation.
    choices: int = 4
    prompts: int = 16
    messages: int = 1024
    tools: int = 32
    tool_calls: int = 8
    stops: int = 4
    stop_characters: int = 256
    top_logprobs: int = 20
    buffer_bytes: int = 1 << 20
    combining_marks: int = 64

    # Schemas: size as JSON, nesting, length of a pattern, largest count or length they may ask for.
    schema_bytes: int = 32 << 10
    schema_depth: int = 24
    schema_values: int = 2000
    pattern_characters: int = 512
    schema_count: int = 10_000

    # Embeddings, ranking, documents.
    embeddings: int = 256
    documents: int = 2048
    document_characters: int = 64 << 10
    ranked_by_embedding: int = 256
    pdf_seconds: float = 20.0
    pdf_memory_bytes: int = 1 << 30
    pdf_pages: int = 2000
    pdf_characters: int = 4 << 20

    # Work beside the model (tokenizing, schemas, ranking): threads, and requests that may wait for one.
    workers: int = 4
    worker_queue: int = 64
    pdf_workers: int = 2
    pdf_queue: int = 8

    # Stopping: how long running answers may go on, and how long the rest may take.
    drain_seconds: float = 20.0
    close_seconds: float = 5.0

    # A stream that waits for its turn sends a comment this often, so that nobody between takes it for dead.
    heartbeat_seconds: float = 15.0
