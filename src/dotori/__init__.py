"""Dotori: from text to a small language model in your pocket, with proof at every hand-over."""

__version__ = "0.1.0"
