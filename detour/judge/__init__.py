"""How a classifier does on groups of probes, and what may be claimed of an edit."""
