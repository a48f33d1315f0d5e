"""The Determined master, wire-compatible with Determined 0.38.1."""
