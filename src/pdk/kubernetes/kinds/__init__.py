"""The kinds of objects a server keeps: what one is (`resource`), and those of Kubernetes itself (`builtin`)."""
