"""A small CNN that classifies CIFAR-10 images. Two are shipped, for two purposes.

The *evaluation classifier* scores colorized images in two ways. Semantic accuracy: how often it
recognizes them, compared with the real and the gray images (the test of Zhang et al. 2016, section
3.2). FCD: the Fréchet distance (Heusel et al. 2017) between its features of colorized and of real
images. The *gray classifier* was trained on gray images too; it conditions generators and scores
nothing.

classifier = load_classifier()
logits, features = classifier(images)                # uint8 (batch, 32, 32, 3)
"""

from .network import ClassifierConfig, build_classifier
from .saved_model import Classifier, build_described, load_classifier
from .training import train_classifier

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "build_classifier",
    "build_described",
    "load_classifier",
    "train_classifier",
]
