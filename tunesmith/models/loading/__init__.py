"""From a folder to a model in memory, with its tokenizer and the layout it runs in."""
