import keras
import numpy as np
import pytest
import tensorflow as tf

from pix2pix_color import losses, metrics

LN2 = np.log(2)


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(0, 3, (2, 5, 4, 4, 1)), tf.float32)


class TestClosedForms:
    def test_logits_of_zero_cost_ln_2_a_kind_of_patch(self):
        zeros = tf.zeros([3, 4, 4, 1])
        np.testing.assert_allclose(losses.adversarial_loss(zeros), [LN2] * 3, rtol=1e-6)
        for label in (0.9, 1.0):
            np.testing.assert_allclose(
                losses.discriminator_loss(zeros, zeros, label), [2 * LN2] * 3, rtol=1e-6
            )

    @pytest.mark.parametrize("size", [100.0, 1e4])
    def test_saturated_logits_cost_nothing_or_themselves(self, size):
        sure = tf.fill([2, 4, 4, 1], size)
        np.testing.assert_allclose(losses.adversarial_loss(sure), [0, 0], atol=1e-6)
        np.testing.assert_allclose(losses.adversarial_loss(-sure), [size] * 2, rtol=1e-6)
        np.testing.assert_allclose(losses.discriminator_loss(sure, -sure, 1.0), [0, 0], atol=1e-6)
        np.testing.assert_allclose(
            losses.discriminator_loss(-sure, sure, 1.0), [2 * size] * 2, rtol=1e-6
        )

    def test_gradients_of_saturated_logits_are_finite(self):
        logits = tf.constant([[[[-1e4]]], [[[1e4]]]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(losses.adversarial_loss(logits))
        np.testing.assert_allclose(tf.reshape(tape.gradient(total, logits), [-1]), [-1, 0])

    @pytest.mark.parametrize("label", [0.9, 0.7, 1.0])
    def test_smoothing_is_one_sided_and_its_best_logit_is_that_of_the_label(self, label):
        real, fake = 1.5, -0.5
        expected = (
            -label * np.log(1 / (1 + np.exp(-real)))
            - (1 - label) * np.log(1 - 1 / (1 + np.exp(-real)))
            - np.log(1 - 1 / (1 + np.exp(-fake)))
        )
        found = losses.discriminator_loss(
            tf.fill([1, 2, 2, 1], real), tf.fill([1, 2, 2, 1], fake), label
        )
        np.testing.assert_allclose(found, [expected], rtol=1e-5)

    def test_the_report_smooths_to_nine_tenths_by_default(self):
        real = tf.fill([1, 4, 4, 1], float(np.log(0.9 / 0.1)))  # sigmoid of it is 0.9
        with tf.GradientTape() as tape:
            tape.watch(real)
            loss = losses.discriminator_loss(real, tf.zeros_like(real))
        np.testing.assert_allclose(tape.gradient(loss, real), np.zeros([1, 4, 4, 1]), atol=1e-7)


class TestHinge:
    def test_logits_of_zero(self):
        zeros = tf.zeros([3, 4, 4, 1])
        np.testing.assert_allclose(losses.adversarial_loss(zeros, "hinge"), [0] * 3)
        found = losses.discriminator_loss(zeros, zeros, kind="hinge")
        np.testing.assert_allclose(found, [2] * 3, rtol=1e-6)

    def test_by_hand(self):
        real, fake = tf.constant([[0.5, 2.0, -3.0]]), tf.constant([[-2.0, 0.25, 1.0]])
        np.testing.assert_allclose(losses.adversarial_loss(fake, "hinge"), [0.25])
        expected = (0.5 + 0 + 4) / 3 + (0 + 1.25 + 2) / 3
        found = losses.discriminator_loss(real, fake, kind="hinge")
        np.testing.assert_allclose(found, [expected], rtol=1e-6)


class TestAgainstKeras:
    def keras_cross_entropy(self, label, logits):
        loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
        per_patch = loss(tf.fill(logits.shape, label), logits)
        return per_patch.numpy().reshape(len(logits), -1).mean(axis=1)

    def test_adversarial_loss(self, logits):
        np.testing.assert_allclose(
            losses.adversarial_loss(logits[0]), self.keras_cross_entropy(1.0, logits[0]), rtol=1e-5
        )

    def test_discriminator_loss_is_the_sum_and_not_the_mean(self, logits):
        expected = self.keras_cross_entropy(0.9, logits[0])
        expected += self.keras_cross_entropy(0.0, logits[1])
        np.testing.assert_allclose(
            losses.discriminator_loss(logits[0], logits[1]), expected, rtol=1e-5
        )

    def test_l1_loss(self):
        rng = np.random.default_rng(1)
        real, fake = rng.uniform(-1, 1, (2, 3, 8, 8, 2)).astype(np.float32)
        expected = keras.losses.MeanAbsoluteError(reduction=None)(real, fake).numpy()
        np.testing.assert_allclose(
            losses.l1_loss(real, tf.constant(fake)), expected.mean(axis=(1, 2)), rtol=1e-5
        )


class TestL1:
    def test_closed_form(self):
        real, fake = tf.fill([2, 4, 4, 2], 0.5), tf.fill([2, 4, 4, 2], -0.25)
        np.testing.assert_allclose(losses.l1_loss(real, fake), [0.75, 0.75])
        np.testing.assert_allclose(losses.l1_loss(real, real), [0, 0])


class TestPixels:
    def pair(self, channels=2):
        rng = np.random.default_rng(1)
        return rng.uniform(0, 1, (2, 3, 8, 8, channels)).astype(np.float32)

    def test_weights_count_pixels(self):
        real, fake = self.pair()
        weights = np.random.default_rng(2).uniform(0, 3, (3, 8, 8)).astype(np.float32)
        expected = np.mean(weights[..., None] * abs(real - fake), axis=(1, 2, 3))
        np.testing.assert_allclose(losses.l1_loss(real, fake, weights), expected, rtol=1e-5)
        found = losses.l1_loss(real, fake, np.ones_like(weights))
        np.testing.assert_allclose(found, losses.l1_loss(real, fake), rtol=1e-6)

    def test_the_rgb_loss_is_psnr_but_for_a_factor(self):
        real, fake = self.pair(channels=3)
        expected = metrics.psnr(tf.constant(real), tf.constant(fake))
        found = losses.rgb_loss(real, fake)
        np.testing.assert_allclose(-10 / np.log(10) * found, expected, rtol=1e-3)

    def test_the_rgb_loss_of_equal_images_is_finite_and_so_is_its_gradient(self):
        real, _ = self.pair(channels=3)
        fake = tf.constant(real)
        with tf.GradientTape() as tape:
            tape.watch(fake)
            loss = losses.rgb_loss(real, fake)
        np.testing.assert_allclose(loss, np.log(1e-5), rtol=1e-6)
        np.testing.assert_array_equal(tape.gradient(loss, fake), np.zeros_like(real))


class TestFeatures:
    def test_are_compared_layer_by_layer_in_float32(self):
        rng = np.random.default_rng(3)
        layers = [rng.normal(size=(2, 3, *shape)).astype(np.float32) for shape in ((4, 4, 5), (7,))]
        real, fake = ([tf.cast(x[i], tf.bfloat16) for x in layers] for i in (0, 1))
        difference = [
            (tf.cast(a, tf.float32) - tf.cast(b, tf.float32)).numpy().reshape(3, -1)
            for a, b in zip(real, fake, strict=True)
        ]
        expected = sum(np.abs(d).mean(axis=1) for d in difference)
        found = losses.feature_matching_loss(real, fake)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        expected = sum(np.square(d).mean(axis=1) for d in difference)
        np.testing.assert_allclose(losses.perceptual_loss(real, fake), expected, rtol=1e-5)


class TestOneValuePerExample:
    """The step divides by the global batch: a loss that averaged over examples would be wrong."""

    def test_an_example_does_not_depend_on_the_others(self, logits):
        for loss in (
            losses.adversarial_loss,
            lambda x: losses.discriminator_loss(x, 2 * x),
            lambda x: losses.adversarial_loss(x, "hinge"),
            lambda x: losses.discriminator_loss(x, 2 * x, kind="hinge"),
            lambda x: losses.l1_loss(x, tf.zeros_like(x)),
            lambda x: losses.rgb_loss(x, tf.zeros_like(x)),
            lambda x: losses.perceptual_loss([x, x], [2 * x, 3 * x]),
            lambda x: losses.feature_matching_loss([x, x], [2 * x, 3 * x]),
        ):
            together = loss(logits[0])
            assert together.shape == [5]
            alone = [loss(logits[0, i : i + 1])[0] for i in range(5)]
            np.testing.assert_allclose(together, alone, rtol=1e-6)

    def test_a_cnn_has_one_logit_an_image(self):
        logits = tf.constant([[0.0], [100.0]])
        np.testing.assert_allclose(losses.adversarial_loss(logits), [LN2, 0], atol=1e-6)
        np.testing.assert_allclose(
            losses.discriminator_loss(logits, -logits, 1.0), [2 * LN2, 0], atol=1e-6
        )
