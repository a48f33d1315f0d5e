"""A Kubernetes API server: objects, watches, tables, patches, OpenAPI. It serves whatever kinds are registered with it."""
