"""Values that flow between the folders, and protocols that models, mappings and recordings fulfil."""
