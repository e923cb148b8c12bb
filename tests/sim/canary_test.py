#!/usr/bin/env python3
"""The simulation can fail: a case that forbids success must be caught, and its line must replay it.

Usage: canary_test.py MUSTER_SIM
"""
import subprocess
import sys


def run(*args):
    done = subprocess.run([sys.argv[1], *args], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def main():
    code, text = run("run", "tests/sim/cases/canary.txt", "--seeds", "3")
    assert code == 1, f"the canary lives: exit {code}\n{text}"
    assert "VIOLATION  canary: job" in text, text
    replay = next(line for line in text.splitlines() if line.startswith("replay"))
    words = replay.split()[2:]
    again, traced = run(*words)
    assert again == 1 and "VIOLATION  canary: job" in traced, f"{replay}: exit {again}"
    assert "record" in traced, "the trace shows no record"
    code, text = run("run", "tests/sim/cases/no_such_case.txt")
    assert code == 2, f"exit {code} for a case that is not there"
    print("canary: caught, and replayed by its own line")
    return 0


if __name__ == "__main__":
    sys.exit(main())
