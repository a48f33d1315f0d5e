"""Composition root: settings, start, stop and supervise the three servers."""
