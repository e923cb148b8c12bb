"""Reads ckpt/1 folders without Muster's code, to compare weights byte for byte."""
import hashlib
import json
import pathlib
import struct


def newest_committed(root):
    """The committed checkpoint folder with the highest step (then attempt) below a job's folder."""
    best = None
    for folder in pathlib.Path(root).iterdir():
        if not folder.name.startswith("step-") or not (folder / "COMMIT").exists():
            continue
        step, attempt = folder.name[5:].split(".a")
        key = (int(step), int(attempt))
        if best is None or key > best[0]:
            best = (key, folder)
    if best is None:
        raise AssertionError(f"no committed checkpoint in {root}")
    return best[1]


def digests(folder):
    """safetensors entry name → sha256 of its bytes, over every shard of a checkpoint."""
    result = {}
    for shard in sorted(pathlib.Path(folder, "data").glob("*.safetensors")):
        with open(shard, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            for name, entry in header.items():
                if name == "__metadata__" or "pad" in name.split("@")[0].split("/")[0]:
                    continue
                begin, end = entry["data_offsets"]
                file.seek(8 + length + begin)
                assert name not in result, f"{name} stands in two shards"
                result[name] = hashlib.sha256(file.read(end - begin)).hexdigest()
    return result


def assert_equal_bits(expected, actual):
    assert expected and expected.keys() == actual.keys(), \
        sorted(set(expected) ^ set(actual))[:5]
    different = [n for n in expected if expected[n] != actual[n]]
    assert not different, f"{len(different)} of {len(expected)} pieces differ: {different[:5]}"
