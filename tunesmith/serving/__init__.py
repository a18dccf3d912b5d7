"""A run's model as a server: requests become rows of one running batch, or rows that are read.

``start`` binds, loads and runs; ``app`` answers; ``engine`` owns the model.
"""
