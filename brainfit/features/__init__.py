"""Compute what layers do for images, once, and keep it."""
