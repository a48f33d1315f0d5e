"""One keyed, level-triggered work loop, used by pps, the master and the InferenceService controller."""
