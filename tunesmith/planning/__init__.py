"""What would run, and what is wrong with it, before any weights load."""
