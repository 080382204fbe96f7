"""Byte-level BPE: training, loading, chat templates, byte-safe streaming."""
