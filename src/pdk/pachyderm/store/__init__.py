"""pachd's tables."""
