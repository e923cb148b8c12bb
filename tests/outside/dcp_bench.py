#!/usr/bin/env python3
"""Saving and loading beside PyTorch's torch.distributed.checkpoint: the same bytes, disk and run.

  tests/outside/dcp_bench.py [--python PATH] [--megabytes N] [--rounds R] [--folder DIR]

Needs PyTorch from PyPI, so it is no part of tools/dev bench; --python names one that has it, else a
virtual environment is made beside the build. One process and one rank, as a node's share of a save
looks. Rounds alternate. "stall" is the time until training may go on; "durable" until the bytes are
on storage and synced. Files are dropped from the page cache before they are read.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build/bin")).resolve()

PEER = r"""
import json, os, sys, time, torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
folder, megabytes = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(2)
dist.init_process_group("gloo", init_method="file://" + folder + "/store", rank=0, world_size=1)
columns = 1024
rows = megabytes * 1000000 // 8 // 4 // columns
state = {f"t{i}": torch.full((rows, columns), float(i)) for i in range(8)}
back = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
size = sum(t.numel() * 4 for t in state.values())
def forget(path):
    for name in os.listdir(path):
        fd = os.open(path + "/" + name, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
times = {}
begin = time.monotonic()
dcp.save(state, storage_writer=dcp.FileSystemWriter(folder + "/save", sync_files=True))
times["save"] = time.monotonic() - begin
forget(folder + "/save")
begin = time.monotonic()
dcp.load(back, storage_reader=dcp.FileSystemReader(folder + "/save"))
times["load"] = time.monotonic() - begin
assert torch.equal(back["t7"], state["t7"])
for name in ("warm", "async"):  # the first one makes its buffers
    begin = time.monotonic()
    future = dcp.async_save(state, storage_writer=dcp.FileSystemWriter(folder + "/" + name, sync_files=True))
    times["async stall"] = time.monotonic() - begin
    future.result()
    times["async durable"] = time.monotonic() - begin
dist.destroy_process_group()
print(json.dumps({"bytes": size, "times": times}))
"""


def peer(python, megabytes, folder):
    inside = pathlib.Path(tempfile.mkdtemp(prefix="dcp-", dir=folder))
    try:
        done = subprocess.run([python, "-c", PEER, inside, str(megabytes)], capture_output=True,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"torch.distributed.checkpoint in {python}: exit {done.returncode}\n{done.stderr}")
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        return {name: answer["bytes"] / seconds / 1e9 for name, seconds in answer["times"].items()}
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def ours(program, megabytes, folder, lines):
    """The rates a bench of ours prints for lines that begin so."""
    done = subprocess.run([BIN / program, f"{folder}/{program}", str(megabytes), "1"],
                          capture_output=True, text=True, check=True)
    rates = {}
    for name, begins in lines.items():
        found = re.search(rf"^ *{re.escape(begins)}.*? ([0-9.]+) GB/s median", done.stdout, re.M)
        rates[name] = float(found[1])
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=pathlib.Path, help="a Python that has PyTorch")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("."), help="on the disk")
    options = parser.parse_args()
    python = options.python
    if python is None:
        python = ROOT / "build/outside/bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "torch", "numpy"], check=True)
    rates = {}
    for _ in range(options.rounds):
        for kind, found in (
                ("dcp", peer(python, options.megabytes, options.folder)),
                ("muster", ours("checkpoint_bench", options.megabytes, options.folder, {
                    "save": "written, checksummed and durable", "load": "read and verified",
                    "plain write": "plain write", "plain read": "plain read"})),
                ("muster", ours("slot_bench", options.megabytes, options.folder, {
                    "async stall": "copy into a slot", "drain": "drain: verified",
                    "direct write": "direct writes"}))):
            for name, rate in found.items():
                rates.setdefault((kind, name), []).append(rate)

    def row(text, ours_key, theirs_key=None):
        mine = statistics.median(rates["muster", ours_key])
        line = f"  {text:44} muster {mine:6.2f} GB/s ({min(rates['muster', ours_key]):.2f} to " \
               f"{max(rates['muster', ours_key]):.2f})"
        if theirs_key:
            theirs = statistics.median(rates["dcp", theirs_key])
            line += f"   dcp {theirs:6.2f} GB/s ({min(rates['dcp', theirs_key]):.2f} to " \
                    f"{max(rates['dcp', theirs_key]):.2f})   ratio {mine / theirs:.2f}"
        print(line)

    print(f"{options.megabytes} MB in 8 tensors, one process, {options.rounds} rounds")
    row("plain write and fdatasync (limit)", "plain write")
    row("save, durable", "save", "save")
    row("plain read (limit)", "plain read")
    row("load", "load", "load")
    row("save beside training: bytes / stall", "async stall", "async stall")
    row("direct write (limit)", "direct write")
    row("save beside training: bytes / until durable", "drain", "async durable")


if __name__ == "__main__":
    main()
