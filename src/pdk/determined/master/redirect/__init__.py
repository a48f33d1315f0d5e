"""The file a trial's Python loads where no mount namespace can be made; a folder of its own, for PYTHONPATH."""
