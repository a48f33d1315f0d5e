"""A Kubernetes API, an InferenceService controller and an ingress, wire-compatible with KServe 0.14."""
