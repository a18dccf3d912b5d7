"""How good a run becomes by number of training rows, and how many more the next gain would take."""
