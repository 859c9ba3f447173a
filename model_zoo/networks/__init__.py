"""The networks of the catalogue, one family a file."""
