"""What flows between the folders, and what models, mappings and recordings must offer."""
