"""A test made of cases: its arguments, its loop over them, its last line."""
import argparse
import pathlib
import sys
import time
import traceback


def parse(doc, cases, **counts):
    """--NAME N for each count (name → (default, help)), --seed, and the cases to run, else all.

    Prints the line that runs the same again."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    for name, (default, text) in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=text)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("cases", nargs="*", choices=[*cases, []], metavar="CASE",
                        help="of " + ", ".join(cases))
    options = parser.parse_args()
    said = [f"--{name} {getattr(options, name)}" for name in counts]
    print(program(), *said, f"--seed {options.seed}", *options.cases, flush=True)
    return options


def program():
    return pathlib.Path(sys.argv[0]).stem


def run(cases, names, test, options):
    """Every case on the cluster of this test; what fails is no other's business. The exit code."""
    failures = 0
    for name in names:
        try:
            cases[name](test, options)
            test.cluster.assert_clean()  # no job's slots are left either
        except Exception:
            failures += 1
            print(f"FAIL {name}: {traceback.format_exc()}", flush=True)
            print(test.cluster.log("coordinator")[-3000:], flush=True)
    left = test.cluster.close(keep=failures > 0)
    if failures:
        print(f"state kept in {test.cluster.dir}")
    if left:
        failures += 1
        print(f"FAIL left running: {left}")
    print(f"{program()}: {len(names)} cases, {failures} failures", flush=True)
    return 1 if failures else 0
