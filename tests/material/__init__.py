"""What several tests share; a package of its own, because mkdocs-material brings one of this name."""
