"""The extension for AUTOMATIC1111's web UI, Forge, reForge, Forge-classic and SD.Next.

`scripts/detour.py` makes the repository a package and calls `webui.register()`. Only
`host.py`, `pipeline.py`, `devices.py`, `folders.py`, `credentials.py` and `log.py` know how the
hosts differ.
"""
