"""Model folders: reading, atomic writing, foreign names, GGUF, lineage."""
