"""Kubernetes objects with resourceVersion, watch history and pod logs."""
