#!/usr/bin/env python3
"""Loads an exported model in Hugging Face's transformers and compares it with muster-train.

  tests/outside/transformers_test.py [--python PATH] [--steps N]

Needs PyTorch and transformers from PyPI, which are large, so it is no part of the test suite: when
--python is not given, a virtual environment with both is made beside the build. Trains two small
models on real text (the byte tokenizer; SentencePiece with grouped-query attention), exports them in
both dtypes, and then, in that Python: tokens equal, largest difference of the logits at many
positions, greedy continuation equal. Exit code 0 only if all of it holds.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build/bin")).resolve()
TEXT = pathlib.Path("/usr/lib/python3.11/email")
# Both sides compute in fp32, in another order. Of logits of size about 10.
TOLERANCE = {"f32": 5e-4, "bf16": 0.25}
PROMPTS = ["def parse(self, text):\n    ", "import ", "class Message:\n    def __init__(self",
           "\"\"\"Return the value of ", "for i in range(10):\n        x = i ** 2  # caf\u00e9 "]


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_python(folder):
    python = folder / "bin/python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
        print("installing torch and transformers (some gigabytes) ...", flush=True)
        run(python, "-m", "pip", "install", "-q", "torch", "transformers", "sentencepiece", "protobuf",
            "numpy")
    return python


def job(folder, data, kv_heads, steps):
    return f"""
apiVersion: muster/v1
kind: TrainJob
name: outside-{kv_heads}
mesh: {{data: 1}}
train:
  model: {{layers: 3, d_model: 96, heads: 6, kv_heads: {kv_heads}, ffn: 256, context: 128}}
  data: {{path: {data}}}
  batch: {{global: 16, micro: 8}}
  optimizer: {{lr: 3.0e-3, warmup_steps: 10, weight_decay: 0.1, clip: 1.0}}
  eval: {{samples: 16}}
  steps: {steps}
  seed: 3
  collective: mpi
checkpoint: {{path: {folder}, every_steps: 0, keep: 1}}
"""


def train(folder, tokenizer, kv_heads, steps):
    data = folder / "data"
    run(BIN / "muster", "data", "prepare", TEXT, "--out", data, *tokenizer)
    (folder / "job.yaml").write_text(job(folder, data, kv_heads, steps))
    complete = folder / "complete.yaml"
    complete.write_text(run(BIN / "muster", "validate", folder / "job.yaml", "-o", "yaml"))
    out = run(BIN / "muster-train", "run", "--config", complete, "--checkpoints", folder / "ckpt",
              env=dict(os.environ, OMP_NUM_THREADS="1"))
    print("  " + [line for line in out.splitlines() if "eval step" in line][-1])
    return folder / "ckpt"


def prefixes():
    """Prompts and their beginnings: the logits at many positions."""
    return [prompt[:end] for prompt in PROMPTS for end in range(1, len(prompt) + 1)]


def compare(python, folder, tokenizer, kv_heads, steps):
    print(f"{tokenizer[1]} tokenizer, {6} heads, {kv_heads} key/value heads", flush=True)
    checkpoints = train(folder, tokenizer, kv_heads, steps)
    prompts = prefixes()
    lines = run(BIN / "muster-train", "logits", "--checkpoint", checkpoints,
                *(word for prompt in prompts for word in ("--prompt", prompt))).splitlines()
    ours = [json.loads(line) for line in lines]
    greedy = [run(BIN / "muster-train", "sample", "--checkpoint", checkpoints, "--temperature", "0",
                  "--tokens", "40", "--prompt", prompt)[:-1] for prompt in PROMPTS]
    ok = True
    for dtype in ("f32", "bf16"):
        target = folder / f"hf-{dtype}"
        print("  " + run(BIN / "muster", "ckpt", "export", checkpoints, target, "--dtype",
                         dtype).strip().split(": ", 1)[1])
        question = folder / "question.json"
        question.write_text(json.dumps({
            "folder": str(target), "prompts": prompts, "ours": ours, "starts": PROMPTS,
            "greedy": greedy, "tolerance": TOLERANCE[dtype], "exact": dtype == "f32"}))
        answer = subprocess.run([python, __file__, "--judge", question], text=True)
        ok = ok and answer.returncode == 0
    return ok


def judge(question):
    """In the Python that has torch and transformers."""
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    asked = json.loads(pathlib.Path(question).read_text())
    torch.set_num_threads(1)
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        asked["folder"], output_loading_info=True, dtype=torch.float32)
    model.eval()
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked["folder"])
    ok, worst, largest, same_tokens, same_best = True, 0.0, 0.0, 0, 0
    with torch.no_grad():
        for prompt, ours in zip(asked["prompts"], asked["ours"]):
            same_tokens += tokenizer(prompt, add_special_tokens=False)["input_ids"] == ours["tokens"]
            theirs = model(torch.tensor([ours["tokens"]])).logits[0, -1].double()
            mine = torch.tensor(ours["logits"], dtype=torch.float64)
            assert theirs.shape == mine.shape, (theirs.shape, mine.shape)
            worst = max(worst, (theirs - mine).abs().max().item())
            largest = max(largest, mine.abs().max().item())
            same_best += int(theirs.argmax() == mine.argmax())
        count = len(asked["prompts"])
        ok = ok and worst <= asked["tolerance"] and same_tokens == count
        equal = 0
        for start, ours in zip(asked["starts"], asked["greedy"]):
            ids = tokenizer(start, add_special_tokens=False, return_tensors="pt")["input_ids"]
            made = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1]:]
            text = tokenizer.decode(made, skip_special_tokens=True)
            equal += start + text == ours
    if asked["exact"]:
        ok = ok and equal == len(asked["starts"]) and same_best == count
    print(f"  transformers {transformers.__version__}, torch {torch.__version__}: {count} positions: "
          f"max |difference| {worst:.3g} of logits up to {largest:.1f} (allowed {asked['tolerance']}), "
          f"likeliest token equal {same_best}/{count}, tokens equal {same_tokens}/{count}, "
          f"greedy continuations equal {equal}/{len(asked['starts'])}: {'ok' if ok else 'DIFFERENT'}",
          flush=True)
    return 0 if ok else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="a Python that has torch and transformers")
    parser.add_argument("--steps", type=int, default=150, help="training steps (150)")
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.judge:
        return judge(flags.judge)
    python = flags.python or make_python(BIN.parent / "outside-venv")
    with tempfile.TemporaryDirectory(prefix="muster-outside-") as name:
        ok = True
        for index, (tokenizer, kv_heads) in enumerate(
                ((("--tokenizer", "byte"), 6), (("--tokenizer", "bpe", "--vocab", "1000"), 2))):
            folder = pathlib.Path(name) / str(index)
            folder.mkdir()
            ok = compare(python, folder, tokenizer, kv_heads, flags.steps) and ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
