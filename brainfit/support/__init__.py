"""Small tools that know no neuroscience."""
