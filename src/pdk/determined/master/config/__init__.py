"""Experiment configuration: reading YAML, checking, filling defaults."""
