"""The master's tables."""
