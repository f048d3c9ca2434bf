"""Image classifiers: loaded safely, described fully, edited without writing to them."""

from .checkpoint import Checkpoint, read_checkpoint
from .describe import describe_classifier
from .description import Description
from .facts import parse_labels
from .heads import Backbone, split_head
from .load import load_classifier
from .model import Cancelled, ImageClassifier, hash_backbone
from .pictures import check_image, decode_image, picture_endings, read_image
from .predict import Prediction, describe_predictions, predict, present
from .preprocess import Preprocessing
from .save import save_classifier, save_new_classifier
from .small_cnn import SmallCNN

__all__ = [
    "Backbone",
    "Cancelled",
    "Checkpoint",
    "Description",
    "ImageClassifier",
    "Prediction",
    "Preprocessing",
    "SmallCNN",
    "check_image",
    "decode_image",
    "describe_classifier",
    "describe_predictions",
    "hash_backbone",
    "load_classifier",
    "parse_labels",
    "picture_endings",
    "predict",
    "present",
    "read_checkpoint",
    "read_image",
    "save_classifier",
    "save_new_classifier",
    "split_head",
]
