"""All hyperparameters: their defaults, which are the report's, and where they come from."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from .options import Section, require

__all__ = [
    "CHROMA_STRIDE",
    "PALETTE",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "TrainingConfig",
]

CHROMA_STRIDE = 4
"""A generator on an encoder predicts chroma at a quarter of the resolution, and takes hints so."""

PALETTE = 485
"""Values of a palette: the shares of the bins of `metrics.chroma_histogram`, and 1 if given."""

_MOST = 8_192  # channels: two such levels have kernels of a gigabyte
_DEEPEST = 12  # halves the largest image to one pixel

_Steps = Annotated[int, 1, 10**12]  # 30 years of 1,000 a second
_StepsOrOff = Annotated[int, 0, 10**12]
_Weight = Annotated[float, 0, 1e38]
_Share = Annotated[float, 0, 1]
_BelowOne = Annotated[float, 0, 0.999999]


@dataclasses.dataclass(frozen=True)
class DataConfig(Section):
    """The training images and how they are presented to the networks.

    Attributes:
        dataset: `"cifar10"` (through TFDS; report section 4.1), `"photographs"` (crops of the
            photographs inside scikit-image), `"tfds:NAME"`, the path of a folder of images or of
            TFRecords, or a weighted mixture such as `"cifar10=4,photographs=1"`; see
            `load_dataset`.
        image_size: height and width of a training image in pixels (report: 32).
        drop_gray: leave out images whose three channels are equal at every pixel
            (report section 4.1: "we removed black and white images").
        flip: mirror half of the training images left to right (not in the report).
        shift: translate each training image at random by up to this many pixels in each
            direction, with mirrored borders (not in the report).
        crop: the smallest share of the shorter side that a random training crop takes; 1 takes
            the central square. This and the next two need TFRecords.
        aged: share of training images whose lightness is that of an old photograph: emulsion,
            blur, grain, fading; see `data.aging`.
        hinted: share of training images that are shown some of their true colors, as a user
            would give them (Zhang et al. 2017, "Real-time user-guided").
        color_space: what the generator predicts, and what L1 and the discriminator see:
            `"lab"` chroma (report section 4.1); `"rgb"` in [-1, 1] (Isola et al. 2017), which
            the generator itself converts to chroma; or `"distribution"`: probabilities of 484
            bins of the ab plane, which the generator reduces to chroma (Zhang et al. 2016).
        lightness_scale: the range of L in the first convolutions of both networks: `"report"`,
            0 to 100 as in the authors' code, or `"unit"`, rescaled to [-1, 1].
    """

    dataset: str = "cifar10"
    image_size: Annotated[int, 1, 4_096] = 32
    drop_gray: bool = True
    flip: bool = False
    shift: Annotated[int, 0, 4_095] = 0
    crop: _Share = 1.0
    aged: _Share = 0.0
    hinted: _Share = 0.0
    color_space: Literal["lab", "rgb", "distribution"] = "lab"
    lightness_scale: Literal["report", "unit"] = "report"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.shift < self.image_size,
            f"data.shift must be from 0 to {self.image_size - 1} pixels, not {self.shift}.",
        )
        require(
            not self.hinted or self.image_size % 4 == 0,
            f"data.hinted needs a data.image_size that is a multiple of 4, not {self.image_size}.",
        )


@dataclasses.dataclass(frozen=True)
class GeneratorConfig(Section):
    """The U-Net of report section 3.1, its variants of section 4.2.1, and two other U-Nets.

    Attributes:
        kind: `"unet"` (Figure 1), or `"residual"`: a U-Net of residual blocks that also has
            blocks at full resolution (He et al. 2016, "Identity mappings"), or `"pretrained"`: a
            decoder of such blocks on an encoder trained for another task (report section 5.3).
        depth: number of halvings on the way down (Figure 1: 5, so 32x32 becomes 1x1).
        filters: channels of the first level; each level down doubles them (Figure 1: 32).
        max_filters: where the doubling ends; 0 is never (Figure 1).
        kernel_size: side of every convolution kernel (Figure 1: 4; He et al. 2016: 3).
        skip_connections: `"all"` (Figure 1), `"none"`, `"innermost"` or `"outermost"`.
        downsampling: `"strided"` convolution (Figure 1) or `"pooling"` (stride 1, then max).
        upsampling: `"transposed"` convolution (Figure 1) or `"resize"` (nearest, then
            convolution; Odena et al. 2016, against checkerboards).
        normalization: `"batch"` (Figure 1), `"instance"`, `"group"` (of up to 8 channels per
            group) or `"none"`.
        dropout: rate after the normalization of the three innermost up-sampling blocks (Isola
            et al. 2017 use 0.5; Figure 1 has none); in a residual generator, before the last
            convolution of every block (Zagoruyko and Komodakis 2016).
        modulation: scale the decoder's feature maps of a residual generator, channel by channel,
            by a style vector computed from the coarsest maps (Karras et al. 2019, without noise).
        guide: a classifier whose features of the gray image are injected into the coarsest
            feature maps of a residual generator (Iizuka et al. 2016): the shipped
            `"gray_classifier"` or `"classifier"`, or a folder written by `pix2pix-color
            train-classifier`; empty is off. It stays frozen and ships with the generator.
        encoder: of a generator of kind `pretrained`: `"efficientnet_lite0"`, or a network of
            `keras.applications` such as `"MobileNetV2"`. It ships with the generator.
        encoder_rate: learning rate of the encoder's stages beyond stride 8, as a share of the
            generator's; 0 freezes it whole, and its first stages always are.
        self_ensemble: flip test-time augmentation (Lim et al. 2017): inference returns the mean
            of an image and its mirror image, at twice the operations. Lab only.
    """

    kind: Literal["unet", "residual", "pretrained"] = "unet"
    depth: Annotated[int, 1, _DEEPEST] = 5
    filters: Annotated[int, 1, _MOST] = 32
    max_filters: Annotated[int, 0, _MOST] = 0
    kernel_size: Annotated[int, 1, 64] = 4
    skip_connections: Literal["all", "none", "innermost", "outermost"] = "all"
    downsampling: Literal["strided", "pooling"] = "strided"
    upsampling: Literal["transposed", "resize"] = "transposed"
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    dropout: _BelowOne = 0.0
    modulation: bool = False
    guide: str = ""
    encoder: str = ""
    encoder_rate: _Share = 0.0
    self_ensemble: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        coarsest = self.channels(self.depth)
        require(
            coarsest <= _MOST,
            f"generator.filters {self.filters} doubles to {coarsest:,} channels at "
            f"generator.depth {self.depth}: at most {_MOST:,}; generator.max_filters limits "
            "them.",
        )
        require(
            self.kind == "residual" or not (self.modulation or self.guide),
            "generator.modulation and generator.guide need generator.kind=residual.",
        )
        require(
            (self.kind == "pretrained") == bool(self.encoder),
            "generator.kind=pretrained needs a generator.encoder, and no other kind takes one.",
        )
        require(
            self.kind != "pretrained" or (self.depth == 5 and not self.self_ensemble),
            "generator.kind=pretrained needs generator.depth=5 and no generator.self_ensemble.",
        )

    @property
    def pretrained(self) -> str:
        """The option that names a network trained for another task, and its value; or nothing."""
        named = {"guide": self.guide, "encoder": self.encoder}
        return next((f"{option}={name}" for option, name in named.items() if name), "")

    def channels(self, level: int) -> int:
        """Returns the channels of a level: 0 is the full resolution, `depth` the coarsest.

        The first level has `filters`: 0 in a residual generator, 1 in a U-Net, and 2 on a
        pretrained encoder.
        """
        first = {"residual": 0, "unet": 1, "pretrained": 2}[self.kind]
        channels = self.filters * 2 ** (level - first)
        return min(channels, self.max_filters) if self.max_filters else channels

    def skip_levels(self) -> tuple[int, ...]:
        """Returns the levels with a skip connection, finest to coarsest (depth - 1)."""
        levels = tuple(range(1 if self.kind == "unet" else 0, self.depth))
        return {
            "all": levels,
            "none": (),
            "innermost": levels[-1:],
            "outermost": levels[:1],
        }[self.skip_connections]


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig(Section):
    """The PatchGAN of report section 3.2, and its variants of section 4.2.1.

    Attributes:
        kind: `"patch"` (one logit per patch) or `"cnn"` (a standard CNN, one logit per image).
        depth: number of stride-2 convolutions (Figure 2: 3). 0 is the 1x1 "PixelGAN" of
            Isola et al. 2017; log2(image size) sees the whole image in one logit.
        filters: channels of the first convolution; each next one doubles them (Figure 2: 64).
        max_filters: where the doubling ends (Figure 2 and Isola et al. 2017: 512).
        normalization: as in the generator (Figure 2: `"batch"`), or `"spectral"`: each kernel
            is divided by its largest singular value (Miyato et al. 2018), patch only.
        conditional: classify chroma together with lightness (Figure 2), or chroma alone.
    """

    kind: Literal["patch", "cnn"] = "patch"
    depth: Annotated[int, 0, _DEEPEST] = 3
    filters: Annotated[int, 1, _MOST] = 64
    max_filters: Annotated[int, 1, _MOST] = 512
    normalization: Literal["batch", "instance", "group", "none", "spectral"] = "batch"
    conditional: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.depth >= 1 or self.kind == "patch",
            "A discriminator of kind 'cnn' needs a discriminator.depth of at least 1.",
        )
        require(
            self.normalization != "spectral" or self.kind == "patch",
            "discriminator.normalization=spectral needs discriminator.kind=patch.",
        )


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Section):
    """How the networks are trained (report section 3.3 and its authors' published code).

    Everything that the report does not have is off by default.

    Attributes:
        steps: optimizer steps (report: 650 epochs of 773 steps; its text says 50,000).
        batch_size: the global batch size, over all replicas (report: 64).
        generator_learning_rate: of Adam (report: 2e-4).
        discriminator_learning_rate: of Adam (report: 2.5e-5).
        beta_1: of both optimizers (report: 0.5).
        initial_generator: a trained generator to start from instead of random weights: a run
            folder, an exported folder, or the name of a shipped model, with the same network.
        l1_weight: of the mean absolute chroma error (report: 100).
        adversarial_weight: of the adversarial loss (report: 1); 0 trains without a discriminator.
        adversarial_loss: `"cross_entropy"` (report) or `"hinge"` (Lim and Ye 2017).
        real_label: the discriminator's target for real patches (report: 0.9, one-sided label
            smoothing); used by the cross-entropy only.
        rgb_weight: of the logarithm of each image's mean squared error in RGB, after clipping.
            Its mean is the mean PSNR up to a factor: 4.34 dB per unit.
        feature_matching_weight: of the difference between the discriminator's features of real
            and generated images (Wang et al. 2018: 10).
        perceptual_weight: of the squared difference between a classifier's features of real and
            colorized images (Johnson et al. 2016).
        perceptual_network: that classifier: the shipped `"gray_classifier"` or `"classifier"`,
            or a folder written by `pix2pix-color train-classifier`. `"classifier"` also measures
            semantic accuracy and FCD, so a model trained with it has been taught to that test.
        distribution_weight: of the cross-entropy between a predicted color distribution and the
            true color bin (Zhang et al. 2016); needs `data.color_space=distribution`.
        rebalance: 0 to 1, how strongly L1 and the distribution loss weight pixels of rare colors
            (Zhang et al. 2016, 1 - lambda; they use 0.5). Color frequencies are counted once,
            in the training images.
        learning_rate_schedule: `"constant"` (report) or `"cosine"`, which decays to zero.
        warmup_steps: linear warm-up of both learning rates (report: 0).
        weight_decay: decoupled, on both networks' kernels (report: 0).
        ema_momentum: of an exponential moving average of the generator's weights, which is then
            what is exported; 0 is off (report).
        precision: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"` (with loss scaling), or
            `"auto"`, which a run replaces by what its device is fastest in.
        synchronized_batch_norm: share batch statistics between replicas.
        xla: compile the forward and backward pass (slower for convolutions on a CPU).
        deterministic: ask TensorFlow for bitwise reproducible operations.
        seed: of the initial weights, the shuffling, the augmentation and the dropout.
        log_every: steps between two rows of `history.csv`.
        checkpoint_every: steps between two checkpoints.
        keep_checkpoints: number of most recent checkpoints to keep.
        sample_every: steps between two grids of sample images; 0 is off.
    """

    steps: _Steps = 502_450
    batch_size: Annotated[int, 1, 65_536] = 64
    generator_learning_rate: _Weight = 2e-4
    discriminator_learning_rate: _Weight = 2.5e-5
    beta_1: _BelowOne = 0.5
    initial_generator: str = ""
    l1_weight: _Weight = 100.0
    adversarial_weight: _Weight = 1.0
    adversarial_loss: Literal["cross_entropy", "hinge"] = "cross_entropy"
    real_label: Annotated[float, 1e-6, 1] = 0.9
    rgb_weight: _Weight = 0.0
    feature_matching_weight: _Weight = 0.0
    perceptual_weight: _Weight = 0.0
    perceptual_network: str = "classifier"
    distribution_weight: _Weight = 0.0
    rebalance: _Share = 0.0
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: _StepsOrOff = 0
    weight_decay: _Share = 0.0
    ema_momentum: _BelowOne = 0.0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    synchronized_batch_norm: bool = False
    xla: bool = False
    deterministic: bool = False
    seed: Annotated[int, 0, 2**32 - 1] = 0
    log_every: _Steps = 10
    checkpoint_every: _Steps = 1_000
    keep_checkpoints: Annotated[int, 1, 1_000_000] = 3
    sample_every: _StepsOrOff = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        losses = ("l1", "adversarial", "rgb", "perceptual", "distribution")
        require(
            any(getattr(self, f"{name}_weight") for name in losses),
            "training.l1_weight and the weights of all other losses are 0: nothing is learned.",
        )
        require(
            self.adversarial_weight > 0 or not self.feature_matching_weight,
            "training.feature_matching_weight needs training.adversarial_weight above 0: without "
            "it there is no discriminator.",
        )
