import contextlib
import json
import socket

import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, python_process, random_images, tiny_config

from pix2pix_color import distribute
from pix2pix_color.distribute import (
    describe_strategy,
    device_kind,
    fastest_precision,
    is_chief,
    make_strategy,
)
from pix2pix_color.errors import DistributeError
from pix2pix_color.training import Trainer


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in (
        "TF_CONFIG",
        "TPU_NAME",
        "COLAB_TPU_ADDR",
        "COLAB_TPU_1VM",
        "TPU_ACCELERATOR_TYPE",
    ):
        monkeypatch.delenv(name, raising=False)


def pretend_gpus(monkeypatch, count):
    devices = [tf.config.LogicalDevice(f"/device:GPU:{i}", "GPU") for i in range(count)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: devices)


class TestMakeStrategy:
    @pytest.mark.parametrize("name", ["cpu", "auto"])
    def test_the_cpu_is_used_where_there_is_nothing_else(self, monkeypatch, name):
        pretend_gpus(monkeypatch, 0)
        strategy = make_strategy(name)
        assert strategy.num_replicas_in_sync == 1
        assert describe_strategy(strategy) == "OneDeviceStrategy on 1 CPU replica"
        assert is_chief(strategy)

    def test_auto_uses_all_gpus(self, monkeypatch):
        made = []
        monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: made.append(devices))
        pretend_gpus(monkeypatch, 2)
        make_strategy()
        assert made == [None]

    @pytest.mark.parametrize("name", ["auto", "gpu"])
    def test_one_gpu_needs_no_mirrors(self, monkeypatch, name):
        pretend_gpus(monkeypatch, 1)
        strategy = make_strategy(name)
        assert "GPU:0" in strategy.extended.worker_devices[0]
        assert describe_strategy(strategy) == "OneDeviceStrategy on 1 GPU replica"

    @pytest.mark.parametrize("name", ["gpu", "mirrored"])
    def test_a_gpu_that_is_not_there(self, monkeypatch, name):
        pretend_gpus(monkeypatch, 0)
        with pytest.raises(DistributeError, match=f"'{name}' needs a GPU"):
            make_strategy(name)

    def test_an_unknown_name_suggests_the_nearest(self):
        with pytest.raises(DistributeError, match=r"'miror'.*did you mean 'mirrored'\?"):
            make_strategy("miror")

    def test_auto_looks_for_a_tpu_only_where_one_is_announced(self, monkeypatch):
        asked = []

        def fail(tpu):
            asked.append(tpu)
            raise tf.errors.NotFoundError(None, None, "nothing there\nand more")

        monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", fail)
        pretend_gpus(monkeypatch, 0)
        make_strategy("auto")
        assert asked == []
        monkeypatch.setenv("COLAB_TPU_1VM", "1")
        with pytest.raises(DistributeError, match="No TPU responds at 'local': .*nothing"):
            make_strategy("tpu")
        with pytest.warns(UserWarning, match="without the TPU.*10.0.0.2:8470.*tensorflow-tpu=="):
            strategy = make_strategy("auto", tpu="10.0.0.2:8470")
        assert device_kind(strategy) == "CPU"
        assert asked == ["local", "10.0.0.2:8470"]


class TestFastestPrecision:
    @pytest.mark.parametrize(
        ("flags", "precision"),
        [("avx2 avx512f", "float32"), ("avx512_bf16", "mixed_bfloat16"), ("", "float32")],
    )
    def test_of_a_processor_is_what_it_multiplies(self, monkeypatch, flags, precision):
        monkeypatch.setattr(distribute, "_processor_flags", lambda: set(flags.split()))
        assert fastest_precision(make_strategy("cpu")) == precision

    @pytest.mark.parametrize(
        ("capability", "precision"),
        [((6, 1), "float32"), ((7, 5), "mixed_float16"), ((8, 0), "mixed_bfloat16")],
    )
    def test_of_a_gpu_follows_its_compute_capability(self, monkeypatch, capability, precision):
        monkeypatch.setattr(distribute, "device_kind", lambda _: "GPU")
        details = {"compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["a GPU"])
        assert fastest_precision(make_strategy("cpu")) == precision

    def test_is_what_a_run_with_auto_is_stored_with(self, monkeypatch):
        monkeypatch.setattr(distribute, "_processor_flags", lambda: {"amx_bf16"})
        config = tiny_config("training.precision=auto")
        assert Trainer(config).config.training.precision == "mixed_bfloat16"


class TestTfConfig:
    def test_multi_worker_needs_it(self):
        with pytest.raises(DistributeError, match="needs the environment variable TF_CONFIG"):
            make_strategy("multi_worker")

    @pytest.mark.parametrize("text", ["{", "[]", '{"cluster": 3}', '{"cluster": {"worker": 3}}'])
    @pytest.mark.parametrize("name", ["auto", "multi_worker"])
    def test_nonsense_is_an_error_and_not_a_single_worker(self, monkeypatch, text, name):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(DistributeError, match="TF_CONFIG is not a valid cluster"):
            make_strategy(name)

    @pytest.mark.parametrize(
        ("cluster", "several"),
        [
            ({}, False),
            ({"worker": ["a:1"]}, False),
            ({"ps": ["a:1"]}, False),
            ({"worker": ["a:1", "b:1"]}, True),
            ({"chief": ["a:1"], "worker": ["b:1"]}, True),
        ],
    )
    def test_auto_is_local_unless_it_names_several_workers(self, monkeypatch, cluster, several):
        pretend_gpus(monkeypatch, 0)
        monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "several")
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
        assert (make_strategy("auto") == "several") is several


WORKER = """
import json, sys
import numpy as np
from conftest import as_dataset, random_images, tiny_config
from pix2pix_color import distribute
from pix2pix_color.distribute import (
    describe_strategy,
    device_kind,
    fastest_precision,
    is_chief,
    make_strategy,
)
from pix2pix_color.training import Trainer

strategy = make_strategy("auto")
assert describe_strategy(strategy) == "MultiWorkerMirroredStrategy on 2 CPU replicas"
config = tiny_config("training.steps=4", "training.checkpoint_every=2",
                     "generator.normalization=none", "discriminator.normalization=none")

def weights(trainer):
    return [w for n in (trainer.generator, trainer.discriminator) for w in n.get_weights()]

trainer = Trainer(config, sys.argv[1], strategy)
trainer.fit(as_dataset(random_images(40)), verbose=0)
resumed = Trainer.resume(sys.argv[1], strategy=strategy)
assert resumed.current_step == 4
for one, other in zip(weights(trainer), weights(resumed), strict=True):
    np.testing.assert_array_equal(one, other)
print(json.dumps({"chief": is_chief(strategy), "weights": [w.tolist() for w in weights(trainer)]}))
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def test_two_workers_train_the_same_networks_and_only_the_chief_writes(tmp_path):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    folder = tmp_path / "run"
    processes = [
        python_process(
            WORKER,
            folder,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            ),
        )
        for i in range(2)
    ]
    try:
        ends = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ends, strict=True):
        assert process.returncode == 0, errors[-3000:]
    chief, other = (json.loads(output.splitlines()[-1]) for output, _ in ends)
    assert (chief["chief"], other["chief"]) == (True, False)
    assert chief["weights"] == other["weights"]

    # Two workers that each take half of a batch are one that takes it whole.
    config = tiny_config("generator.normalization=none", "discriminator.normalization=none")
    alone = Trainer(config, None, make_strategy("cpu"))
    alone.fit(as_dataset(random_images(40)), steps=4, verbose=0)
    weights = alone.generator.get_weights() + alone.discriminator.get_weights()
    for one, two in zip(weights, chief["weights"], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4)

    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "history.csv", "checkpoints"} <= names
    steps = [row.split(",")[0] for row in (folder / "history.csv").read_text().splitlines()]
    assert steps == ["step", "0", "2"]
