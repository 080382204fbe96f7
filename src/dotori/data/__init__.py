"""From raw text to packed token shards, and back as batches."""
