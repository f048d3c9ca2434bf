"""The extension for AUTOMATIC1111's web UI, Forge, Forge Neo, reForge, Forge-classic and SD.Next.

`scripts/detour.py` makes the repository a package and calls `script.register()`. Only `host.py`,
`guidance.py`, `pipeline.py`, `classifier_host.py`, `folders.py` and `routes.py` know how the hosts
differ.
"""
