"""A model's folder: made from a CSV or a template, checked, and set up on the three systems by their own clients."""
