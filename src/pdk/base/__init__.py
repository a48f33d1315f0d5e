"""Ids, clock, locks, durable folders and error categories; imports nothing of pdk."""
