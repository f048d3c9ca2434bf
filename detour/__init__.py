"""Detour's host-free library: the maths of both methods. Nothing here knows a host."""
