"""A node pack for tests: gives out which module each of the server's routes belongs to."""

from __future__ import annotations

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, type] = {}


@PromptServer.instance.routes.get("/lists_routes")
async def list_routes(_request: web.Request) -> web.Response:
    """Path, handler's module and folder of served files, of all routes."""
    found = []
    for route in PromptServer.instance.app.router.routes():
        about = route.resource.get_info() if route.resource else {}
        place = about.get("path") or about.get("formatter") or about.get("prefix", "")
        served = str(about.get("directory", ""))
        found.append({"path": place, "module": route.handler.__module__, "served": served})
    return web.json_response(found)
