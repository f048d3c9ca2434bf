"""Probe pictures: from folders, from batches, in chains; and their features once seen."""
