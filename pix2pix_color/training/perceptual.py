"""A classifier as a judge of what images look like (Johnson et al. 2016)."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
from keras import layers

from ..classifier import Classifier, load_classifier
from ..errors import ChecksumError, ClassifierError, TrainingError
from ..files import shipped_folder
from ..networks.layers import copy_at_precision

__all__ = ["build_vgg16", "find_classifier", "perceptual_network"]

_REFERENCE = "classifier"  # the one that scores
_STAGES = ("stage1_conv2_relu", "stage2_conv2_relu", "stage3_conv2_relu")
_BLOCKS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")
_VGG_MEAN = (123.68, 116.779, 103.939)  # of ImageNet's red, green and blue
_VGG_SIZE = 32  # pixels, the least that Keras lets it take
_WEIGHTS = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def perceptual_network(image_size: int, precision: str, name: str = "classifier") -> keras.Model:
    """Returns a classifier up to the maps that images are compared by, frozen.

    Args:
        image_size: of the images that are learned from.
        precision: Keras dtype policy; the standardization of the pixels stays float32.
        name: `training.perceptual_network`: a shipped classifier's name, `"vgg16"` or a folder.

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to a list of maps after ReLU: the
        last of each of a classifier's three stages, or four of VGG16's, as `build_vgg16`. To be
        called with `training=False`.

    Raises:
        TrainingError: there is no such classifier, it takes images of another size, or the
            weights of VGG16 cannot be downloaded.
    """
    if name == "vgg16":
        judge = build_vgg16(image_size)
    else:
        classifier = find_classifier(name)
        if classifier.image_size != image_size:
            raise TrainingError(
                f"training.perceptual_weight needs images of {classifier.image_size} pixels, which "
                f"the classifier learned: data.image_size is {image_size}."
            )
        network = classifier.network()
        judge = keras.Model(network.input, [network.get_layer(x).output for x in _STAGES])

    at_precision = functools.partial(copy_at_precision, precision=precision)
    frozen = keras.models.clone_model(judge, clone_function=at_precision)
    frozen.set_weights(judge.get_weights())
    frozen.trainable = False
    return frozen


def build_vgg16(image_size: int, weights: str | None = "imagenet") -> keras.Model:
    """Returns Keras's VGG16 (Simonyan and Zisserman 2015) up to four maps, its input prepared.

    The maps are those that Johnson et al. 2016 take: relu1_2, relu2_2, relu3_3 and relu4_3. They
    are VGG16's own, neither scaled nor normalized, and so larger than the batch-normalized ones
    of the reference classifier.

    Args:
        image_size: height and width in pixels, at least 32.
        weights: `"imagenet"`, downloaded on the first use; `None` for random ones, to count.

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to float32 maps of 64, 128, 256 and
        512 channels, at least 0, on the size's whole, half, quarter and eighth.

    Raises:
        TrainingError: smaller images, or the weights are not there and cannot be downloaded.
    """
    if image_size < _VGG_SIZE:
        raise TrainingError(
            f"training.perceptual_network=vgg16 needs images of at least {_VGG_SIZE} pixels: "
            f"data.image_size is {image_size}."
        )
    images = keras.Input((image_size, image_size, 3), name="images")
    offset = [-mean for mean in _VGG_MEAN]
    centered = layers.Rescaling(1.0, offset, dtype="float32", name="standardize")(images)
    try:
        vgg = keras.applications.VGG16(include_top=False, weights=weights, input_tensor=centered)
    except Exception as error:  # Keras raises bare ones for a download that failed
        reason = str(error).strip().partition("\n")[0] or repr(error)
        raise TrainingError(
            f"The weights of training.perceptual_network=vgg16 could not be downloaded "
            f"({reason[:200]}). Connect to a network, or put {_WEIGHTS} into ~/.keras/models; "
            "training.perceptual_network=classifier needs no download."
        ) from error
    first = vgg.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])  # it learned BGR, and gets RGB
    return keras.Model(images, [vgg.get_layer(x).output for x in _BLOCKS], name="vgg16")


def find_classifier(name: str) -> Classifier:
    """Returns the classifier that `training.perceptual_network` names.

    Args:
        name: a shipped one, or a folder that `export_classifier` made.

    Raises:
        TrainingError: it is not there, cannot be read, or is the one that scores by another name.
    """
    try:
        classifier = load_classifier(name)
    except (ClassifierError, ChecksumError) as error:
        found = ""
        if Path(name).is_dir():
            held = sorted(path.name for path in Path(name).iterdir())
            found = f" The folder holds {', '.join(held[:6]) or 'nothing'}."
        raise TrainingError(
            f"training.perceptual_network={name} is no classifier. {error}{found} Valid: "
            "classifier, gray_classifier, vgg16, or the folder that pix2pix-color "
            "train-classifier --output made."
        ) from error
    if name != _REFERENCE and _sums(classifier.folder) == _sums(shipped_folder() / _REFERENCE):
        # Under another name it would score what it taught, and no card would say so.
        raise TrainingError(
            f"training.perceptual_network={name} is the classifier that scores: call it "
            f"{_REFERENCE}."
        )
    return classifier


def _sums(folder: Path) -> str:
    path = folder / "SHA256SUMS"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
