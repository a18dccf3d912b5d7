"""A model made lighter: weights set to zero, or heads, channels and layers taken out."""
