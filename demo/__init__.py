"""The tiny model, its data, and the demo that runs it in a real ComfyUI."""
