"""A training job of a few seconds, on real text."""
import pathlib

TEXT = pathlib.Path("/usr/lib/python3.11/email")


def prepare_data(cluster):
    out = cluster.dir / "data"
    cluster.muster("data", "prepare", TEXT, "--out", out, "--tokenizer", "byte")
    return out


def tiny_job(name, data, checkpoints, steps=40, every=5, mesh="{data: 2, tensor: 2}",
             reproducible="run", extra="", attempts=3):
    return f"""
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {mesh}
resources: {{slots_per_rank: 1}}
train:
  model: {{layers: 2, d_model: 64, heads: 4, kv_heads: 4, ffn: 128, context: 64}}
  data: {{path: {data}}}
  batch: {{global: 16, micro: 4}}
  optimizer: {{lr: 3.0e-3, warmup_steps: 5, weight_decay: 0.1, clip: 1.0}}
  eval: {{samples: 16}}
  steps: {steps}
  seed: 11
  collective: mpi
  reproducible: {reproducible}
checkpoint: {{path: {checkpoints}, every_steps: {every}, keep: 3}}
recovery: {{attempts_without_progress: {attempts}}}
{extra}"""
