"""Edits of a head: the record, the stack, the file, and what a classifier says with them."""
