"""From a run to a model that others can load."""
