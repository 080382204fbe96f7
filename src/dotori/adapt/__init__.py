"""Adaptation: objectives and loaders over train.loop."""
