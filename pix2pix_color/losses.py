"""The losses of report section 3.3 and others, as plain functions, one value an example.

They return a value per example and leave the average to the training step, which divides
once by the *global* batch. Keras's loss objects divide by the number of replicas and
`tf.reduce_mean` does not: mixing the two would weigh L1 by 800, not 100, on eight replicas.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = [
    "adversarial_loss",
    "discriminator_loss",
    "distribution_loss",
    "feature_matching_loss",
    "l1_loss",
    "l2_loss",
    "perceptual_loss",
    "r1_loss",
    "rgb_loss",
]

_LEAST_ERROR = 1e-5  # a mean squared error of 50 dB: closer is close enough


def _mean_per_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _binary_cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    labels = tf.fill(tf.shape(logits), tf.cast(label, logits.dtype))
    return _mean_per_example(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def adversarial_loss(
    fake_logits: tf.Tensor,
    real_logits: tf.Tensor | None = None,
    kind: str = "cross_entropy",
) -> tf.Tensor:
    """What the generator learns from the discriminator's opinion.

    Args:
        fake_logits: the discriminator's float logits on generated images, (batch, ...).
        real_logits: those on the real images; only the relativistic kind looks at them.
        kind: `"cross_entropy"` of the fake patches against "real" (Goodfellow et al. 2014);
            `"hinge"`, the negative logits (Lim and Ye 2017); or `"relativistic"`, the
            cross-entropy of fake logits less real ones (Jolicoeur-Martineau 2018).

    Returns:
        (batch,). Cross-entropies are in nats, at least 0, and ln 2 at logits of zero. The
        relativistic one pairs each fake patch with the real patch of the same image, not with
        the average of a batch, so that an example's loss depends on no other.
    """
    if kind == "hinge":
        return -_mean_per_example(fake_logits)
    if kind == "relativistic":
        return _binary_cross_entropy(fake_logits - real_logits, 1.0)
    return _binary_cross_entropy(fake_logits, 1.0)


def discriminator_loss(
    real_logits: tf.Tensor,
    fake_logits: tf.Tensor,
    real_label: float = 0.9,
    kind: str = "cross_entropy",
) -> tf.Tensor:
    """What the discriminator learns, the opposite of `adversarial_loss`.

    Args:
        real_logits, fake_logits: float logits, (batch, ...).
        real_label: target for real patches; 0.9 is the report's one-sided smoothing. For
            `"cross_entropy"` alone.
        kind: `"cross_entropy"` of both kinds of patches, summed and not halved (authors'
            code); `"hinge"`, how far real logits are below 1 and fake ones above -1, summed
            (Lim and Ye 2017); or `"relativistic"`, the cross-entropy of real logits less fake
            ones (Jolicoeur-Martineau 2018).

    Returns:
        (batch,), at least 0; 2 ln 2, 2 or ln 2 at logits of zero.
    """
    if kind == "hinge":
        beyond = tf.nn.relu(1.0 - real_logits) + tf.nn.relu(1.0 + fake_logits)
        return _mean_per_example(beyond)
    if kind == "relativistic":
        return _binary_cross_entropy(real_logits - fake_logits, 1.0)
    return _binary_cross_entropy(real_logits, real_label) + _binary_cross_entropy(fake_logits, 0.0)


def l1_loss(
    real_chroma: tf.Tensor, fake_chroma: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean absolute difference of chroma, (a, b) / 128 (Isola et al. 2017, equation 3).

    Args:
        real_chroma, fake_chroma: (batch, height, width, 2) in about [-1, 1]; or RGB in
            [-1, 1], with 3 channels, where `data.color_space` is "rgb".
        weights: (batch, height, width), what each pixel counts; `None` counts all alike.

    Returns:
        (batch,), 0 to about 2.
    """
    return _mean_per_example(_weighted(tf.abs(real_chroma - fake_chroma), weights))


def l2_loss(
    real_chroma: tf.Tensor, fake_chroma: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean squared difference of chroma; arguments as of `l1_loss`."""
    return _mean_per_example(_weighted(tf.square(real_chroma - fake_chroma), weights))


def distribution_loss(
    bins: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy of a predicted distribution of colors with the true bin of each pixel.

    Zhang, Isola and Efros 2016 (Colorful image colorization, equation 2), who spread the truth
    over the five nearest bins; here it is one.

    Args:
        bins: int32 (batch, height, width), from `metrics.chroma_bins`.
        logits: (batch, height, width, 484).
        weights: as of `l1_loss`.

    Returns:
        (batch,), in nats a pixel, at least 0; ln 484 where all bins are alike.
    """
    surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(bins, tf.cast(logits, tf.float32))
    return _mean_per_example(surprise if weights is None else surprise * weights)


def _weighted(differences: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return differences if weights is None else differences * weights[..., None]


def rgb_loss(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """Natural logarithm of an image's mean squared error in RGB.

    Its mean is the mean PSNR, which is what fidelity is scored by, but for a constant factor:
    PSNR falls by 10 / ln 10 = 4.34 dB a nat. Unlike an average of squared errors, it lets an
    image that is nearly right count as much as one that is all wrong.

    Args:
        real_rgb, fake_rgb: (batch, height, width, 3) in [0, 1].

    Returns:
        (batch,), from ln 1e-5, which is added to the error, to about 0.
    """
    error = _mean_per_example(tf.square(real_rgb - fake_rgb))
    return tf.math.log(error + _LEAST_ERROR)


def feature_matching_loss(
    real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Mean absolute difference of a discriminator's features, summed over its layers.

    Wang et al. 2018 (pix2pixHD, equation 4); for the generator to learn from.

    Args:
        real_features, fake_features: of each layer, (batch, ...), of any float type.

    Returns:
        float32 (batch,).
    """
    return tf.add_n([l1_loss(*pair) for pair in _in_float32(real_features, fake_features)])


def perceptual_loss(
    real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Mean squared difference of a classifier's features, summed over its layers.

    Johnson et al. 2016, equation 2. It grows with the square of the features' scale, and so
    its weight depends on the classifier: see `TrainingConfig.perceptual_weight`.

    Args:
        real_features, fake_features: of each layer, (batch, ...), of any float type.

    Returns:
        float32 (batch,).
    """
    return tf.add_n([l2_loss(*pair) for pair in _in_float32(real_features, fake_features)])


def _in_float32(
    real: Sequence[tf.Tensor], fake: Sequence[tf.Tensor]
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    return [
        (tf.cast(one, tf.float32), tf.cast(other, tf.float32))
        for one, other in zip(real, fake, strict=True)
    ]


def r1_loss(gradient: tf.Tensor) -> tf.Tensor:
    """Half the squared length of the gradient at a real image (Mescheder et al. 2018, R1).

    Args:
        gradient: of the discriminator's mean logit to the colors of the real image, (batch, ...).

    Returns:
        (batch,).
    """
    return 0.5 * tf.reduce_sum(tf.square(gradient), axis=list(range(1, gradient.shape.rank)))
