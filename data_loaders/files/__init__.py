"""Open files that others wrote, safely and a part at a time."""
