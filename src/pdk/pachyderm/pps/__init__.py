"""Pipelines, jobs, datums, secrets and logs."""
