"""ComfyUI's entry point: the list of Detour's nodes. In other hosts it is harmless."""


async def comfy_entrypoint():
    """The extension object that ComfyUI asks for."""
    from comfy_api.latest import ComfyExtension

    from .bypass import BypassSweep, MidBlockBypass
    from .contact_sheet import ContactSheet
    from .demo_model import DemoModel
    from .plot_schedule import PlotSchedule

    class DetourExtension(ComfyExtension):
        async def get_node_list(self):
            return [MidBlockBypass, BypassSweep, ContactSheet, PlotSchedule, DemoModel]

    return DetourExtension()
