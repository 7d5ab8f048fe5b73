"""The losses of report section 3.3 and further ones, as plain functions: one value per example.

They leave the average to the training step, which divides once by the *global* batch size.
Keras's loss objects divide by the number of replicas and `tf.reduce_mean` does not: mixing the
two would make L1 weigh 800, not 100, on eight replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

__all__ = [
    "adversarial_loss",
    "discriminator_loss",
    "distribution_loss",
    "feature_matching_loss",
    "l1_loss",
    "perceptual_loss",
    "rgb_loss",
]

_SMALLEST_ERROR = 1e-5  # a mean squared error of 50 dB


def _mean_per_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _binary_cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    labels = tf.fill(tf.shape(logits), tf.cast(label, logits.dtype))
    return _mean_per_example(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def adversarial_loss(fake_logits: tf.Tensor, kind: str = "cross_entropy") -> tf.Tensor:
    """The generator's loss against the discriminator.

    Args:
        fake_logits: the discriminator's float logits for generated images, (batch, ...).
        kind: `"cross_entropy"` between the generated patches and the label "real" (report;
            Goodfellow et al. 2014), or `"hinge"`, the negative logits (Lim and Ye 2017).

    Returns:
        (batch,). The cross-entropy is in nats, at least 0, and ln 2 at logits of zero.
    """
    if kind == "hinge":
        return -_mean_per_example(fake_logits)
    return _binary_cross_entropy(fake_logits, 1.0)


def discriminator_loss(
    real_logits: tf.Tensor,
    fake_logits: tf.Tensor,
    real_label: float = 0.9,
    kind: str = "cross_entropy",
) -> tf.Tensor:
    """The discriminator's loss.

    Args:
        real_logits, fake_logits: float logits, (batch, ...).
        real_label: target for real patches, cross-entropy only; 0.9 is the report's one-sided
            label smoothing.
        kind: `"cross_entropy"` of real and fake patches, summed and not halved (authors' code),
            or `"hinge"`, how far real logits are below 1 and fake ones above -1, summed (Lim and
            Ye 2017).

    Returns:
        (batch,), at least 0; 2 ln 2 or 2 at logits of zero.
    """
    if kind == "hinge":
        return _mean_per_example(tf.nn.relu(1.0 - real_logits) + tf.nn.relu(1.0 + fake_logits))
    return _binary_cross_entropy(real_logits, real_label) + _binary_cross_entropy(fake_logits, 0.0)


def l1_loss(
    real_chroma: tf.Tensor, fake_chroma: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean absolute difference of chroma, (a, b) / 128 (Isola et al. 2017, equation 3).

    Args:
        real_chroma, fake_chroma: (batch, height, width, 2) in about [-1, 1]; or RGB in
            [-1, 1], with 3 channels, where `data.color_space` is "rgb".
        weights: (batch, height, width), the weight of each pixel; `None` weights all equally.

    Returns:
        (batch,), 0 to about 2.
    """
    difference = tf.abs(real_chroma - fake_chroma)
    return _mean_per_example(difference if weights is None else difference * weights[..., None])


def distribution_loss(
    bins: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy between a predicted color distribution and each pixel's true bin.

    Zhang, Isola and Efros 2016 (Colorful image colorization, equation 2), except that they
    spread the target over the five nearest bins.

    Args:
        bins: int32 (batch, height, width), from `metrics.chroma_bins`.
        logits: (batch, height, width, 484).
        weights: as in `l1_loss`.

    Returns:
        (batch,), in nats per pixel, at least 0; ln 484 for a uniform distribution.
    """
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(bins, tf.cast(logits, tf.float32))
    return _mean_per_example(loss if weights is None else loss * weights)


def rgb_loss(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """Natural logarithm of each image's mean squared error in RGB.

    Its mean is, up to a constant factor, the mean PSNR by which fidelity is scored: PSNR falls
    by 10 / ln 10 = 4.34 dB per nat. Unlike with the mean squared error, an image that is nearly
    right counts as much as one that is entirely wrong.

    Args:
        real_rgb, fake_rgb: (batch, height, width, 3) in [0, 1].

    Returns:
        (batch,), from ln 1e-5, which is added to the error, to about 0.
    """
    error = _mean_per_example(tf.square(real_rgb - fake_rgb))
    return tf.math.log(error + _SMALLEST_ERROR)


def feature_matching_loss(
    real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Mean absolute difference of the discriminator's features, summed over its layers.

    Wang et al. 2018 (pix2pixHD, equation 4); a loss of the generator.

    Args:
        real_features, fake_features: of each layer, (batch, ...), of any float type.

    Returns:
        float32 (batch,).
    """
    return _summed_over_layers(tf.abs, real_features, fake_features)


def perceptual_loss(
    real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Mean squared difference of a classifier's features, summed over its layers.

    Johnson et al. 2016, equation 2. It grows with the square of the features' scale, so its
    weight depends on the classifier. Arguments and result are as in `feature_matching_loss`.
    """
    return _summed_over_layers(tf.square, real_features, fake_features)


def _summed_over_layers(measure: Callable, real: Sequence, fake: Sequence) -> tf.Tensor:
    pairs = zip(real, fake, strict=True)
    differences = [tf.cast(a, tf.float32) - tf.cast(b, tf.float32) for a, b in pairs]
    return tf.add_n([_mean_per_example(measure(difference)) for difference in differences])
