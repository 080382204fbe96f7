"""One static page per run, and model cards; reads run folders only."""
