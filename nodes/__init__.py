"""ComfyUI's entry point: the list of Detour's nodes. In other hosts it is harmless."""


async def comfy_entrypoint():
    """The extension object that ComfyUI asks for."""
    from comfy_api.latest import ComfyExtension

    from .bypass import BypassSweep, MidBlockBypass
    from .classifier_host import register_model_folder
    from .classify import Classify
    from .contact_sheet import ContactSheet
    from .demo_model import DemoDigits, DemoModel
    from .edit_files import ApplyEdit, SaveEdit
    from .evaluate_groups import EvaluateGroups
    from .fit_classifier import ClassifierFromProbes
    from .load_classifier import LoadClassifier
    from .neutralize import Neutralize
    from .plot_schedule import PlotSchedule
    from .probes import ProbeFolder, ProbeImages
    from .remove_class import RemoveClass
    from .save_classifier import SaveClassifier

    register_model_folder()

    class DetourExtension(ComfyExtension):
        async def get_node_list(self):
            return [
                MidBlockBypass,
                BypassSweep,
                ContactSheet,
                PlotSchedule,
                DemoModel,
                DemoDigits,
                LoadClassifier,
                ClassifierFromProbes,
                Classify,
                ProbeFolder,
                ProbeImages,
                Neutralize,
                RemoveClass,
                EvaluateGroups,
                SaveEdit,
                ApplyEdit,
                SaveClassifier,
            ]

    return DetourExtension()
