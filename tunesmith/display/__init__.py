"""What runs show while they work."""
