"""What a run did, for people: one page, and a table of runs."""
