"""Ids, clock and error categories; imports nothing of pdk."""
