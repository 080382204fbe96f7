"""The embedded bilingual story world."""
