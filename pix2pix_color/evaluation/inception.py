"""The Fréchet distance on Inception features, for comparison with others' habits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from .. import metrics
from ..errors import EvaluationError

__all__ = ["inception_fid", "load_inception"]

_SIZE = 299  # pixels, what Inception v3 takes
_WEIGHTS = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"

Images = np.ndarray | tf.data.Dataset
Network = Callable[[tf.Tensor], tf.Tensor]


def load_inception() -> Network:
    """Loads Keras's Inception v3 with its ImageNet weights, downloaded on the first use.

    Returns:
        A function from uint8 RGB (batch, height, width, 3) to float32 features (batch, 2048):
        images are enlarged to 299x299 (bilinear) and scaled to [-1, 1], and the last map is
        averaged.

    Raises:
        EvaluationError: the weights are not there and cannot be downloaded.
    """
    try:
        model = keras.applications.InceptionV3(
            include_top=False, weights="imagenet", input_shape=(_SIZE, _SIZE, 3), pooling="avg"
        )
    except Exception as error:  # Keras raises bare ones for a download that failed
        reason = str(error).strip().partition("\n")[0] or repr(error)
        raise EvaluationError(
            f"The Inception weights could not be downloaded ({reason[:200]}). Connect to a "
            f"network, or put {_WEIGHTS} into ~/.keras/models; fcd needs no download."
        ) from error

    @tf.function(reduce_retracing=True)
    def features(images: tf.Tensor) -> tf.Tensor:
        large = tf.image.resize(tf.cast(images, tf.float32), [_SIZE, _SIZE], method="bilinear")
        return model(large / 127.5 - 1.0, training=False)

    return features


def inception_fid(
    real_images: Images,
    fake_images: Images,
    *,
    network: Network | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> float:
    """Returns the Fréchet inception distance (Heusel et al. 2017) between two sets of images.

    The weights are Keras's ImageNet weights, not those of the original FID: values compare only
    with others of this function, on the same number of images. Two cores take some minutes
    for a thousand images.

    Args:
        real_images, fake_images: uint8 RGB (count, height, width, 3), or a data set of single
            images; at least two each, and more than the 2,048 features for a value worth
            quoting.
        network: from uint8 images to features; the default is `load_inception()`.
        batch_size: images at a time; without influence on the result.
        progress: show a progress bar.

    Raises:
        EvaluationError: the weights cannot be had, or there are too few images.
    """
    network = network or load_inception()
    statistics = []
    for name, images in (("real", real_images), ("colorized", fake_images)):
        batches = tqdm(
            _batches(images, batch_size), f"inception, {name}", unit="batch", disable=not progress
        )
        features = [np.asarray(network(batch)) for batch in batches]
        if sum(map(len, features)) < 2:
            raise EvaluationError(f"A Fréchet distance needs at least two {name} images.")
        statistics.append(metrics.feature_statistics(np.concatenate(features)))
    real, fake = statistics
    return float(metrics.frechet_distance(*real, *fake))


def _batches(images: Images, batch_size: int) -> Iterator[tf.Tensor]:
    if not isinstance(images, tf.data.Dataset):
        images = tf.data.Dataset.from_tensor_slices(images)
    return iter(images.batch(batch_size).prefetch(2))
