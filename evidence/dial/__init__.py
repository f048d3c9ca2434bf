"""`python dev.py evidence dial`: what the ways to variety do, on models trained for it."""
