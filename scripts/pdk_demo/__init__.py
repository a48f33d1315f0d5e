"""The demonstration: the whole loop twice, watched through the three systems' own clients."""
