"""The kinds KServe registers with the Kubernetes API, as its CRDs and webhooks do on a cluster."""
