import keras
import numpy as np
import pytest
import tensorflow as tf

from pix2pix_color import losses, metrics

LN2 = np.log(2)


def patches(value: float) -> tf.Tensor:
    return tf.fill([2, 4, 4, 1], float(value))


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(0, 3, (2, 5, 4, 4, 1)), tf.float32)


@pytest.fixture
def images():
    """Returns two batches of three images, in [0, 1]."""
    rng = np.random.default_rng(1)
    return rng.uniform(0, 1, (2, 3, 8, 8, 3)).astype(np.float32)


class TestAdversarialLosses:
    @pytest.mark.parametrize(
        ("kind", "logit", "expected"),
        [
            ("cross_entropy", 0, LN2),
            ("cross_entropy", 1e4, 0),
            ("cross_entropy", -1e4, 1e4),
            ("hinge", 0, 0),
            ("hinge", -3, 3),
        ],
    )
    def test_closed_forms_of_the_generators(self, kind, logit, expected):
        found = losses.adversarial_loss(patches(logit), kind)
        np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize(
        ("kind", "real", "fake", "label", "expected"),
        [
            ("cross_entropy", 0, 0, 0.9, 2 * LN2),
            ("cross_entropy", 100, -100, 1.0, 0),
            ("cross_entropy", -1e4, 1e4, 1.0, 2e4),
            ("hinge", 0, 0, 0.9, 2),
            ("hinge", 2, -2, 0.9, 0),
            ("hinge", 0.5, 0.25, 0.9, 0.5 + 1.25),
        ],
    )
    def test_closed_forms_of_the_discriminators(self, kind, real, fake, label, expected):
        found = losses.discriminator_loss(patches(real), patches(fake), label, kind)
        np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6, atol=1e-6)

    def test_gradients_of_saturated_logits_are_finite(self):
        logits = tf.constant([[[[-1e4]]], [[[1e4]]]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(losses.adversarial_loss(logits))
        np.testing.assert_allclose(tf.reshape(tape.gradient(total, logits), [-1]), [-1, 0])

    def test_the_report_smooths_real_labels_to_nine_tenths_by_default(self):
        real = patches(np.log(0.9 / 0.1))  # sigmoid of it is 0.9
        with tf.GradientTape() as tape:
            tape.watch(real)
            loss = losses.discriminator_loss(real, tf.zeros_like(real))
        np.testing.assert_allclose(tape.gradient(loss, real), tf.zeros_like(real), atol=1e-7)

    @pytest.mark.parametrize("label", [0.7, 1.0])
    def test_the_cross_entropies_are_keras_s_summed_and_not_halved(self, logits, label):
        def keras_cross_entropy(label, logits):
            loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
            per_patch = loss(tf.fill(logits.shape, label), logits)
            return per_patch.numpy().reshape(len(logits), -1).mean(axis=1)

        real, fake = logits
        expected = keras_cross_entropy(1.0, fake)
        np.testing.assert_allclose(losses.adversarial_loss(fake), expected, rtol=1e-5)
        expected = keras_cross_entropy(label, real) + keras_cross_entropy(0.0, fake)
        found = losses.discriminator_loss(real, fake, label)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


class TestPixelLosses:
    def test_l1_is_keras_s_and_weights_count_pixels(self, images):
        real, fake = images
        expected = keras.losses.MeanAbsoluteError(reduction=None)(real, fake).numpy()
        found = losses.l1_loss(real, tf.constant(fake))
        np.testing.assert_allclose(found, expected.mean(axis=(1, 2)), rtol=1e-5)
        weights = np.random.default_rng(2).uniform(0, 3, (3, 8, 8)).astype(np.float32)
        found = losses.l1_loss(real, fake, weights)
        np.testing.assert_allclose(found, (weights * expected).mean(axis=(1, 2)), rtol=1e-5)

    def test_the_rgb_loss_is_psnr_but_for_a_factor(self, images):
        real, fake = images
        expected = metrics.psnr(tf.constant(real), tf.constant(fake))
        found = losses.rgb_loss(real, fake)
        np.testing.assert_allclose(-10 / np.log(10) * found, expected, rtol=1e-3)

    def test_the_rgb_loss_of_equal_images_is_finite_and_so_is_its_gradient(self, images):
        real, fake = images[0], tf.constant(images[0])
        with tf.GradientTape() as tape:
            tape.watch(fake)
            loss = losses.rgb_loss(real, fake)
        np.testing.assert_allclose(loss, np.log(1e-5), rtol=1e-6)
        np.testing.assert_array_equal(tape.gradient(loss, fake), np.zeros_like(real))


def test_features_are_compared_layer_by_layer_in_float32():
    rng = np.random.default_rng(3)
    layers = [rng.normal(size=(2, 3, *shape)).astype(np.float32) for shape in ((4, 4, 5), (7,))]
    real, fake = ([tf.cast(x[i], tf.bfloat16) for x in layers] for i in (0, 1))
    difference = [
        (tf.cast(a, tf.float32) - tf.cast(b, tf.float32)).numpy().reshape(3, -1)
        for a, b in zip(real, fake, strict=True)
    ]
    for loss, measure in (
        (losses.feature_matching_loss, np.abs),
        (losses.perceptual_loss, np.square),
    ):
        found = loss(real, fake)
        assert found.dtype == tf.float32
        expected = sum(measure(d).mean(axis=1) for d in difference)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        losses.adversarial_loss,
        lambda x: losses.discriminator_loss(x, 2 * x),
        lambda x: losses.adversarial_loss(x, "hinge"),
        lambda x: losses.discriminator_loss(x, 2 * x, kind="hinge"),
        lambda x: losses.l1_loss(x, tf.zeros_like(x)),
        lambda x: losses.rgb_loss(x, tf.zeros_like(x)),
        lambda x: losses.perceptual_loss([x, x], [2 * x, 3 * x]),
        lambda x: losses.feature_matching_loss([x, x], [2 * x, 3 * x]),
    ],
)
def test_an_example_does_not_depend_on_the_others(logits, loss):
    """The step divides by the global batch: a loss that averaged over examples would be wrong."""
    together = loss(logits[0])
    assert together.shape == [5]
    alone = [loss(logits[0, i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert loss(logits[0, :, 0, 0]).shape == [5]  # as of a CNN: one logit an image
