"""Files that are kept or fetched: written whole or not at all."""
