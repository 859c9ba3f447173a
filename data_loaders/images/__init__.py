"""Stimulus images: their table, their files and their pixels."""
