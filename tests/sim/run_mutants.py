#!/usr/bin/env python3
"""Plants faults in the core, one at a time, and runs the simulation until it catches each.

A mutant (tests/sim/mutants/NAME.txt) says what it breaks, which text of which file it replaces (found
exactly once, or this fails), and within how many seeds of which case it must be caught. The file is
changed in a copy in the build folder; nothing of the tree is touched.

Usage: run_mutants.py --build DIR [--share I/N] [NAME...]
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MUTANTS = ROOT / "tests/sim/mutants"


class Broken(Exception):
    pass


def read(name):
    text = (MUTANTS / f"{name}.txt").read_text()
    mutant = {"name": name, "why": text.splitlines()[0].lstrip("# "), "set": []}
    head, _, rest = text.partition("--- old\n")
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        if key == "set":
            mutant["set"].append(value)
        elif key in ("file", "case", "seeds"):
            mutant[key] = value
        elif not line.startswith("#"):
            raise Broken(f"{name}: what is \"{line}\"?")
    if "file" in mutant:
        old, found, new = rest.partition("\n--- new\n")
        if not found:
            raise Broken(f"{name}: no \"--- new\"")
        mutant["old"], mutant["new"] = old, new[:-1] if new.endswith("\n") else new
    return mutant


def compile_mutant(mutant, build, folder):
    source = ROOT / mutant["file"]
    text = source.read_text()
    count = text.count(mutant["old"])
    if count != 1:
        raise Broken(f"{mutant['name']}: its old text is {count} times in {mutant['file']}, "
                     "not once; say anew what it breaks")
    changed = folder / source.name
    changed.write_text(text.replace(mutant["old"], mutant["new"]))
    commands = json.loads((build / "compile_commands.json").read_text())
    entry = next(c for c in commands if pathlib.Path(c["file"]) == source)
    words = shlex.split(entry["command"])
    wanted, output = [], folder / "mutant.o"
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MT", "-MF"):
            skip = True
        elif word not in ("-MD", "-c", str(source), "-Werror", "-O3"):
            wanted.append(word)
    wanted += ["-O1", "-w", "-c", str(changed), "-o", str(output)]
    run(wanted, entry["directory"], f"{mutant['name']} does not compile")
    return output


def run(words, folder, what):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"{what}:\n{done.stdout}{done.stderr}")
    return done.stdout


def link(mutant, build, folder, objects):
    ninja = run(["ninja", "-C", str(build), "-t", "commands", "bin/muster-sim"], ROOT, "ninja")
    command = ninja.strip().splitlines()[-1]
    words = [w for w in shlex.split(command) if w not in (":", "&&")]
    at = words.index("-o")
    program = folder / "muster-sim"
    # Before the archives: their member of the same name is then not taken.
    words[at + 1:at + 2] = [str(program), str(objects)]
    run(words, build, f"{mutant['name']} does not link")
    return program


def make(mutant, build):
    folder = build / "mutants" / mutant["name"]
    folder.mkdir(parents=True, exist_ok=True)
    if "file" not in mutant:
        return build / "bin/muster-sim"
    return link(mutant, build, folder, compile_mutant(mutant, build, folder))


def healthy(build, mutant):
    """Without the mutant the seeds must pass, or its being caught would say nothing."""
    run([str(build / "bin/muster-sim"), "run", f"tests/sim/cases/{mutant['case']}.txt", "--seeds",
         mutant["seeds"], "--twice", "0"], ROOT, f"{mutant['name']}: its case fails by itself")


def hunt(mutant, build):
    program = make(mutant, build)
    case = ROOT / f"tests/sim/cases/{mutant['case']}.txt"
    if mutant["set"]:
        own = build / "mutants" / mutant["name"] / "case.txt"
        own.write_text(case.read_text() + "\n" + "\n".join(mutant["set"]) + "\n")
        case = own
    else:
        healthy(build, mutant)
    start = time.monotonic()
    done = subprocess.run([str(program), "run", str(case), "--seeds", mutant["seeds"], "--twice", "0"],
                          cwd=ROOT, capture_output=True, text=True)
    mutant["seconds"] = time.monotonic() - start
    found = re.search(r"VIOLATION  (\w+): (.*)", done.stdout)
    seed = re.search(r"--seed (\d+)", done.stdout)
    mutant["caught"] = done.returncode == 1 and found is not None
    mutant["by"] = found.group(1) if found else f"exit {done.returncode}"
    mutant["what"] = found.group(2)[:70] if found else ""
    if found and found.group(1) == "check":
        check = re.search(r"CHECK\(.*?failed: (.*)", done.stderr)
        mutant["what"] = (check.group(1) if check else "")[:70]
    mutant["seed"] = int(seed.group(1)) if seed else 0
    return mutant


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--share", default="0/1", help="I/N: only every Nth, from the Ith")
    parser.add_argument("--jobs", default=2, type=int)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    build = options.build.resolve()
    part, parts = (int(x) for x in options.share.split("/"))
    names = options.names or sorted(p.stem for p in MUTANTS.glob("*.txt"))[part::parts]
    bad = []
    print(f"{'mutant':24} {'caught by':10} {'seed':>5} {'bound':>5} {'s':>5}  what it breaks; what was seen")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        def one(name):
            try:
                return hunt(read(name), build)
            except (Broken, FileNotFoundError) as error:
                return {"name": name, "error": str(error)}
        for mutant in pool.map(one, names):
            if "error" in mutant:
                bad.append(mutant["name"])
                print(f"{mutant['name']:24} BROKEN     {mutant['error']}", flush=True)
                continue
            word = mutant["by"] if mutant["caught"] else "SURVIVED"
            print(f"{mutant['name']:24} {word:10} {mutant['seed']:5} {mutant['seeds']:>5} "
                  f"{mutant['seconds']:5.1f}  {mutant['why']}; {mutant['what']}", flush=True)
            if not mutant["caught"]:
                bad.append(mutant["name"])
    print(f"{len(names) - len(bad)} of {len(names)} mutants caught")
    if bad:
        print("not caught, or broken: " + " ".join(bad), file=sys.stderr)
    return 1 if bad or not names else 0


if __name__ == "__main__":
    sys.exit(main())
