"""From files as people have them to rendered rows, each accounted for."""
