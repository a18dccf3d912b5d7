"""What is wrong, before a long run or after it."""
