"""The one place where a model is called: a batch becomes numbers."""
