"""Sessions that run a model: open_model picks one by what the path is."""
