"""Models compared by people who do not know whose answers they read."""
