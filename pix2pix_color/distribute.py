"""Chooses the devices to train on: one CPU or GPU, several GPUs, a TPU, or several workers."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import tensorflow as tf

from .config import nearest
from .errors import DistributeError, in_words

__all__ = ["describe_strategy", "device_kind", "fastest_precision", "is_chief", "make_strategy"]

STRATEGIES = ("auto", "cpu", "gpu", "mirrored", "multi_worker", "tpu")


def make_strategy(
    name: str = "auto", *, tpu: str = "local", devices: list[str] | None = None
) -> tf.distribute.Strategy:
    """Makes the `tf.distribute` strategy to train under.

    Args:
        name: `"auto"`, `"cpu"`, `"gpu"` (the first), `"mirrored"` (all GPUs, or `devices`),
            `"tpu"` or `"multi_worker"` (from the environment variable `TF_CONFIG`). `"auto"`
            uses several workers if TF_CONFIG names them, else a TPU, else all GPUs, else the
            CPU; where there is a TPU that TensorFlow cannot use, it warns.
        tpu: address of the TPU; `"local"` on a TPU VM or Colab.
        devices: device names for `"mirrored"`, for example two logical CPUs.

    Returns:
        The strategy; `describe_strategy` describes it.

    Raises:
        DistributeError: the name is unknown or the devices are not available.
    """
    if name not in STRATEGIES:
        raise DistributeError(f"Unknown strategy {name!r}: {nearest(name, STRATEGIES)}")
    if name == "auto" and _worker_count() > 1:
        name = "multi_worker"
    if name == "multi_worker":  # before any device is listed: it must initialize TensorFlow
        if _worker_count() < 1:
            raise DistributeError(
                "Strategy 'multi_worker' needs the environment variable TF_CONFIG: JSON with the "
                'addresses of all workers ("cluster") and the index of this one ("task").'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name == "auto" and _tpu_is_present():
        try:
            return _tpu_strategy(tpu)
        except DistributeError as error:
            warnings.warn(f"Training without the TPU. {error}", stacklevel=2)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "gpu" if gpus else "cpu"
    if name == "cpu":
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    if not gpus and not (name == "mirrored" and devices):
        raise DistributeError(f"Strategy {name!r} needs a GPU, but TensorFlow finds none.")
    if name == "gpu":
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return tf.distribute.MirroredStrategy(devices)


def _worker_count() -> int:
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return 0
    try:
        cluster = json.loads(text).get("cluster", {})
        return len(cluster.get("worker", [])) + len(cluster.get("chief", []))
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise DistributeError(f"TF_CONFIG is not a valid cluster description: {error}.") from error


def _tpu_is_present() -> bool:
    # Colab and Cloud TPU VMs set one of these; looking for a TPU elsewhere can hang.
    names = ("TPU_NAME", "COLAB_TPU_ADDR", "COLAB_TPU_1VM", "TPU_ACCELERATOR_TYPE")
    return any(os.environ.get(name) for name in names)


def _tpu_strategy(address: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise DistributeError(
            f"No TPU responds at {address!r}: {in_words(error)} TensorFlow needs its TPU build: "
            f"pip install tensorflow-tpu=={tf.__version__}"
        ) from error


def device_kind(strategy: tf.distribute.Strategy) -> str:
    """Returns the kind of device the replicas run on: `"CPU"`, `"GPU"` or `"TPU"`."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "TPU"
    devices = strategy.extended.worker_devices
    return "GPU" if any("gpu" in device.lower() for device in devices) else "CPU"


def describe_strategy(strategy: tf.distribute.Strategy) -> str:
    """Returns a description such as `"MirroredStrategy on 2 GPU replicas"`."""
    count, kind = strategy.num_replicas_in_sync, device_kind(strategy)
    name = type(strategy).__name__.replace("CollectiveAllReduce", "MultiWorkerMirrored")
    return f"{name} on {count} {kind} replica{'s' if count > 1 else ''}"


def fastest_precision(strategy: tf.distribute.Strategy) -> str:
    """Returns the `training.precision` in which a strategy's devices train fastest.

    That is bfloat16 on a TPU, on a GPU of compute capability 8.0 or more, and on a processor that
    multiplies it (without AVX512-BF16 or AMX it takes twice as long as float32); float16 on a GPU
    from 7.0 on, such as Colab's T4; and float32 elsewhere.
    """
    kind = device_kind(strategy)
    if kind == "CPU":
        fast = {"avx512_bf16", "amx_bf16"} & _processor_flags()
    elif kind == "GPU":
        devices = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(device) for device in devices]
        capability = min((d.get("compute_capability") or (0, 0) for d in details), default=(0, 0))
        if (7, 0) <= capability < (8, 0):
            return "mixed_float16"
        fast = capability >= (8, 0)
    return "mixed_bfloat16" if kind == "TPU" or fast else "float32"


def _processor_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:  # not Linux
        return set()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the worker that writes the run folder."""
    return strategy.extended.should_checkpoint
