"""The InferenceService controller, its model servers and the inference ingress, wire-compatible with KServe 0.14."""
