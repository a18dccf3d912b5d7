"""From an Example to Tokens: templates, masks, limits."""
