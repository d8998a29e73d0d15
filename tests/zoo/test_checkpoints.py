"""Weights files: found, checked, read without executing anything, and fitted into a network as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from trgbp_core.zoo import safetensors_file
from trgbp_core.zoo.checkpoints import WeightsError, adopt, find, hash_prefix, is_sound, read


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))


def saved(state: object, tmp_path, name: str = "tiny.pth"):
    torch.save(state, tmp_path / name)
    return tmp_path / name


def refused(path) -> str:
    with pytest.raises(WeightsError) as caught:
        read(path)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("https://example.org/mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        ("resnet50.pth", ""),
        ("my-network.pth", ""),
    ],
)
def test_the_hash_is_read_from_torchs_file_names(name, prefix):
    assert hash_prefix(name) == prefix


def test_a_file_is_sound_only_with_its_hash(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    assert all(is_sound(path, prefix) for prefix in (digest, digest[:8], ""))
    assert not is_sound(path, "0" * 8)


def test_offline_weights_are_looked_at_before_torchs_cache(tmp_path, monkeypatch):
    offline, cache = tmp_path / "offline", tmp_path / "home" / "hub" / "checkpoints"
    for folder in (offline, cache):
        folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRGBP_MODEL_DIR", raising=False)
    assert find("a.pth", "a") is None
    (cache / "a.pth").touch()
    assert find("a.pth", "a") == cache / "a.pth"
    monkeypatch.setenv("TRGBP_MODEL_DIR", str(offline))
    assert find("a.pth", "a") == cache / "a.pth"
    (offline / "b.safetensors").touch()
    assert find("a-01234567.pth", "b") == offline / "b.safetensors"
    (offline / "a.pth").touch()
    assert find("a.pth", "a") == offline / "a.pth"


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "module."])
def test_a_checkpoint_is_read_however_it_is_wrapped(wrapper, tmp_path):
    state = network().state_dict()
    if wrapper == "module.":
        given = {"module." + key: value for key, value in state.items()}
    else:
        given = {wrapper: state, "epoch": 3} if wrapper else state
    result = read(saved(given, tmp_path))
    assert list(result) == list(state)
    assert all(torch.equal(result[key], state[key]) for key in state)


def test_half_precision_becomes_float32_and_counters_stay_integers(tmp_path):
    result = read(saved(network().half().state_dict(), tmp_path))
    assert result["0.weight"].dtype == torch.float32
    assert result["1.num_batches_tracked"].dtype == torch.int64


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "trap.pth"
    path.write_bytes(pickle.dumps({"weight": Trap()}, protocol=2))
    assert "plain tensors" in refused(path)
    assert "plain tensors" in refused(saved({"weight": Trap()}, tmp_path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("state", [[1, 2], {}, {"a": 3}, {"a": "text"}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(state, tmp_path):
    assert "named tensors" in refused(saved(state, tmp_path))


def test_a_damaged_missing_or_infinite_file_is_refused(tmp_path):
    state = network().state_dict()
    path = saved(state, tmp_path)
    for content in (path.read_bytes()[:-200], b"<html>log in to this network</html>", b""):
        path.write_bytes(content)
        assert "damaged" in refused(path)
    assert "no weights file" in refused(tmp_path / "nothing.pth")
    state["0.weight"][0, 0, 0, 0] = float("nan")
    assert "0.weight" in refused(saved(state, tmp_path))


def test_safetensors_are_read_as_their_own_package_reads_them(tmp_path):
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    state = {str(kind): (torch.arange(6).reshape(2, 3) - 3).to(kind) for kind in kinds}
    state |= {"bool": torch.tensor([True, False, True]), "none": torch.empty(0, 3), "one": torch.tensor(7)}
    path = tmp_path / "tiny.safetensors"
    save_file(state, path, metadata={"format": "pt"})
    found, theirs = safetensors_file.read(path), load_file(path)
    assert set(found) == set(theirs)
    assert all(found[key].dtype == theirs[key].dtype and torch.equal(found[key], theirs[key]) for key in theirs)
    state = network().state_dict()
    save_file(state, path)
    assert all(torch.equal(value, state[key]) for key, value in read(path).items())


@pytest.mark.parametrize("about", ["[]", "{", '{"a": 3}', '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}'])
def test_damaged_safetensors_are_refused(tmp_path, about):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(len(about).to_bytes(8, "little") + about.encode() + bytes(4))
    assert "damaged" in refused(path)


def test_safetensors_cannot_ask_for_more_memory_than_they_are_long(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_file(network().state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[:-100], whole + bytes(4), whole[:7], (2**63).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(content)
        assert "damaged" in refused(path)
    one = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    about = f'{{"a": {one}, "b": {one}}}'.encode()
    path.write_bytes(len(about).to_bytes(8, "little") + about + bytes(4))
    assert "damaged" in refused(path)


def test_a_network_takes_all_weights_or_none():
    state = network().state_dict()
    target, keys = network(), list(state)
    adopt(target, state, "tiny.pth")
    assert all(torch.equal(value, state[key]) for key, value in target.state_dict().items())
    assert list(state) == keys, "what was read is not changed by fitting it"

    broken = {
        "lacks 0.bias": {key: value for key, value in state.items() if key != "0.bias"},
        "also has extra": {**state, "extra": torch.zeros(1)},
        "has in another shape 4.weight": {**state, "4.weight": torch.zeros(3, 4)},
    }
    for words, wrong in broken.items():
        target = network()
        before = {key: value.clone() for key, value in target.state_dict().items()}
        with pytest.raises(WeightsError, match=words):
            adopt(target, wrong, "tiny.pth")
        assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_old_files_without_batch_counters_fit():
    state = OrderedDict((key, value) for key, value in network().state_dict().items() if "num_batches" not in key)
    target = network()
    adopt(target, state, "old.pth")
    assert torch.equal(target[1].weight, state["1.weight"])


def test_densenets_old_names_are_read_as_todays():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.conv2 = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)

    target = nn.ModuleDict({"denselayer1": Layer(), "norm5": nn.BatchNorm2d(2)})
    state = target.state_dict()
    old = {key.replace("norm1", "norm.1").replace("conv2", "conv.2"): value + 1 for key, value in state.items()}
    assert set(old) != set(state)
    adopt(target, old, "densenet.pth")
    assert torch.equal(target["denselayer1"].conv2.weight, old["denselayer1.conv.2.weight"])
