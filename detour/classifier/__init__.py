"""Image classifiers: loaded safely, described fully, edited without writing to them."""

from .checkpoint import Checkpoint, read_checkpoint
from .description import Description
from .facts import parse_labels
from .heads import Backbone, split_head
from .load import load_classifier
from .model import Cancelled, ImageClassifier, hash_backbone
from .paths import resolve_inside
from .pictures import read_image
from .preprocess import Preprocessing
from .save import save_classifier
from .small_cnn import SmallCNN

__all__ = [
    "Backbone",
    "Cancelled",
    "Checkpoint",
    "Description",
    "ImageClassifier",
    "Preprocessing",
    "SmallCNN",
    "hash_backbone",
    "load_classifier",
    "parse_labels",
    "read_checkpoint",
    "read_image",
    "resolve_inside",
    "save_classifier",
    "split_head",
]
