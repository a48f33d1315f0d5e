"""Content-addressed chunks, file sets, reference tracking, garbage collection."""
