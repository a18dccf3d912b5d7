"""Tasks learned one after the other, and what was kept of each."""
