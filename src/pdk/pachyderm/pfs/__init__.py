"""Projects, repos, branches, commits and files."""
