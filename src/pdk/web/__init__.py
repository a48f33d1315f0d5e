"""How every HTTP server of the stack listens, limits, reads, routes and answers; each keeps its own errors' words.

`json_text`, `yaml_text`, `merge_patch` and `hosts` are pure text and values: engines may import them. The rest knows
HTTP and is for the api packages and the ingress.
"""
