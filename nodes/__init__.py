"""ComfyUI's entry point: the list of Detour's nodes. In other hosts it is harmless, for it imports
none before it is asked."""


async def comfy_entrypoint():
    """The extension object that ComfyUI asks for; the nodes in the order in which it lists them."""
    from comfy_api.latest import ComfyExtension

    from .classifier_host import register_model_folder
    from .classifiers import ClassifierFromProbes, Classify, LoadClassifier, SaveClassifier
    from .demo import DemoFaces, DemoModel
    from .dial import BypassSweep, MidBlockBypass, PlotSchedule
    from .edit_files import ApplyEdit, SaveEdit
    from .edits import EvaluateGroups, Neutralize, RemoveClass
    from .fade import PromptFade
    from .labels import LabelPictures
    from .probes import ProbeFolder, ProbeImages
    from .relief import GuidanceRelief
    from .scan import WhichBlocksMatter
    from .schema import refuse_literals
    from .sheet import ContactSheet

    ways = [MidBlockBypass, GuidanceRelief, PromptFade, BypassSweep, ContactSheet, PlotSchedule]
    scans = [WhichBlocksMatter]
    demo = [DemoModel, DemoFaces]
    probes = [ProbeFolder, ProbeImages, LabelPictures]
    classifiers = [LoadClassifier, ClassifierFromProbes, Classify]
    edits = [Neutralize, RemoveClass, EvaluateGroups, SaveEdit, ApplyEdit, SaveClassifier]
    register_model_folder()

    class DetourExtension(ComfyExtension):
        async def get_node_list(self):
            every = [*ways, *scans, *demo, *classifiers, *probes, *edits]
            return [refuse_literals(node) for node in every]

    return DetourExtension()
