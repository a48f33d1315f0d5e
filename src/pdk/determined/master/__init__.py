"""Experiments, trials, checkpoints, registry and logs."""
