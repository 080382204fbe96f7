"""The wind tunnel: cheap small runs that choose the settings of a large one and predict its loss."""
