"""What a schedule can drive: one file a way, each with its settings and its hook."""
