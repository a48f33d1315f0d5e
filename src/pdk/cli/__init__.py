"""The `pdk` command; the only place for environment, terminal and exit codes."""
