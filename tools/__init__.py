"""Tools for developers: environments, a real ComfyUI to test against, measuring."""
