"""The loop, and what surrounds it: device, checkpoints, record, evaluation on the way. ``start.py``
is the door.
"""
