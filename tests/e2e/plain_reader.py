"""A reader of ckpt/1 written from docs/formats/checkpoint.md alone: no code of Muster's, only the
standard library. It verifies every byte of a checkpoint and gathers its tensors.

  plain_reader.py CHECKPOINT      verify it and list its tensors
"""
import hashlib
import itertools
import json
import math
import pathlib
import re
import struct
import sys

CHUNK = 16 << 20
SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "U8": 1}
SHARD = re.compile(r"data/[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def canonical(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return (text + "\n").encode()


def need(condition, what):
    if not condition:
        raise ValueError(what)


def read_commit(folder):
    text = (folder / "COMMIT").read_bytes()
    commit = json.loads(text)
    need(commit["format"] == "ckpt/1", "COMMIT: format")
    need(text == canonical(commit), "COMMIT: not the canonical text")
    need(crc32c(canonical({**commit, "crc32c": 0})) == commit["crc32c"], "COMMIT: own checksum")
    return commit


def read_shard(folder, record):
    """The bytes of a shard, every chunk checked, and its safetensors header."""
    need(SHARD.fullmatch(record["name"]), f"file name {record['name']}")
    data = (folder / record["name"]).read_bytes()
    need(len(data) == record["size"], f"{record['name']}: size")
    sums = [crc32c(data[at:at + CHUNK]) for at in range(0, len(data), CHUNK)]
    need(sums == record["crc32c"], f"{record['name']}: checksums")
    (length,) = struct.unpack("<Q", data[:8])
    need((8 + length) % 4096 == 0, f"{record['name']}: header is not padded")
    return data, json.loads(data[8:8 + length]), 8 + length


def offsets(shape, offset, extent):
    """The flat index in the tensor of the first element of each row (last axis) of a box."""
    strides = [math.prod(shape[axis + 1:]) for axis in range(len(shape))]
    ranges = [range(o, o + e) for o, e in zip(offset[:-1], extent[:-1])]
    last = offset[-1] if offset else 0
    for index in itertools.product(*ranges):
        yield sum(i * s for i, s in zip(index, strides)) + last


def read(folder):
    """(manifest, {tensor name: its bytes}) of a checkpoint; raises ValueError if anything is off."""
    folder = pathlib.Path(folder)
    commit = read_commit(folder)
    text = (folder / "manifest.json").read_bytes()
    need(hashlib.sha256(text).hexdigest() == commit["manifest_sha256"], "manifest: SHA-256")
    manifest = json.loads(text)
    need(manifest["format"] == "ckpt/1" and manifest["step"] == commit["step"] and
         manifest["attempt"] == commit["attempt"], "manifest: format, step or attempt")
    shards = {record["name"]: read_shard(folder, record) for record in manifest["files"]}
    there = {"data/" + path.name for path in (folder / "data").iterdir()}
    need(there == set(shards), f"files that do not belong: {there ^ set(shards)}")
    tensors, slices = {}, set()
    for tensor in manifest["tensors"]:
        size, shape, name = SIZES[tensor["dtype"]], tensor["shape"], tensor["name"]
        whole, covered = bytearray(math.prod(shape) * size), 0
        seen = bytearray(math.prod(shape))  # 1 where an element was written
        for piece in tensor["pieces"]:
            data, header, begin = shards[piece["file"]]
            key = f"{name}@{','.join(map(str, piece['offset']))}"
            entry = header[key]
            slices.add((piece["file"], key))
            need(entry["dtype"] == tensor["dtype"] and entry["shape"] == piece["extent"] and
                 [begin + o for o in entry["data_offsets"]] == [piece["begin"], piece["end"]],
                 f"{key}: header and manifest differ")
            count = math.prod(piece["extent"])
            need(piece["end"] - piece["begin"] == count * size, f"{key}: byte range")
            if count == 0:
                continue
            width, at = (piece["extent"][-1] if shape else 1), piece["begin"]
            for first in offsets(shape, piece["offset"], piece["extent"]):
                need(not any(seen[first:first + width]), f"{key}: an element twice")
                seen[first:first + width] = b"\1" * width
                whole[first * size:(first + width) * size] = data[at:at + width * size]
                at += width * size
            covered += count
        need(covered == math.prod(shape), f"{name}: {covered} of {math.prod(shape)} elements")
        tensors[name] = bytes(whole)
    headers = {(file, key) for file, (_, header, _) in shards.items() for key in header}
    need({key for key in headers if key[1] != "__metadata__"} == slices, "slices not in the manifest")
    return manifest, tensors


if __name__ == "__main__":
    found, contents = read(sys.argv[1])
    for one in found["tensors"]:
        print(one["name"], one["dtype"], one["shape"],
              hashlib.sha256(contents[one["name"]]).hexdigest()[:16])
    print(f"step {found['step']}: {len(contents)} tensors verified")
