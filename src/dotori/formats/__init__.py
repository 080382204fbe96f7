"""Quantized block layouts: one file per format, pack, unpack and the byte diagram."""
