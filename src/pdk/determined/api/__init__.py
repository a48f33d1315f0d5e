"""The master's REST routes; they only translate."""
