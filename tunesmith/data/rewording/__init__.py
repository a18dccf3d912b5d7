"""A text said otherwise by rules: which of its words may change, what must stay, and by what."""
