"""ComfyUI's entry point: the list of Detour's nodes. In other hosts it is harmless."""


async def comfy_entrypoint():
    """The extension object that ComfyUI asks for."""
    from comfy_api.latest import ComfyExtension

    from .classifier_host import register_model_folder
    from .listed import NODES

    register_model_folder()

    class DetourExtension(ComfyExtension):
        async def get_node_list(self):
            return list(NODES)

    return DetourExtension()
