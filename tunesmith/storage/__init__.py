"""Files on the disk: run folders, the cache, hubs, packages, headers."""
