"""The edits on real networks: features of several backbones, several tasks, many splits."""
