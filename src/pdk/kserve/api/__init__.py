"""The Kubernetes API over HTTPS and the inference ingress."""
