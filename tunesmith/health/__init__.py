"""What is wrong with a run, read from what it wrote: rules.py first; then course, signs."""
