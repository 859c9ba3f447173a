"""Pages and run folders: what people read."""
