"""Revisions: storage initializer, TorchServe process, routes."""
