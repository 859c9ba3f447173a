"""Labelled images to train a network on."""
