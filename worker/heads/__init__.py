"""Heads: what turns a network's output maps into masks, instances and, later, boxes and spots."""
