"""A Kubernetes API server: objects, watches, Tables, patches, OpenAPI, of whatever kinds are registered."""
