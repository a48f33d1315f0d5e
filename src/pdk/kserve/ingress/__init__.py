"""The inference ingress: routes requests by host or path to the revision that serves them."""
