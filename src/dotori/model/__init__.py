"""The decoder, its configuration, counters and the slow reference generator."""
