"""What is looked at while a run trains: watched rows, options, own questions."""
