"""Pictures and tables of what was done, drawn with Pillow alone."""
