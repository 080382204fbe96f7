"""The dotori command: one file per verb."""
