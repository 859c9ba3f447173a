"""Solvers of least-squares problems on compressed rows of features: one solver a file."""
