"""Brings InferenceServices to their spec."""
