"""Previews larger than memory: read once to disk, computed by tiles, decoded by windows, written row by row."""
