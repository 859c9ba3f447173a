"""The networks of the catalogue, one family per file."""
