"""100,000 jobs in the journal, and 10,000 submissions at once, also across a kill -9.

usage: jobs_bench.py [--ended N] [--waiting N] [--jobs N] [--clients N] [--repeat N]

Beside each figure stands its peer of the same run: an empty coordinator, or the bare journal. No
time is asserted; a submission lost or doubled makes it fail.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from cluster import Cluster  # noqa: E402
from submit_load import Load, run_load  # noqa: E402

START_BUDGET_S = 5


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-"))

    def history(self, name, ended, waiting):
        state = self.dir / name
        run_load("history", state, ended, waiting)
        return state

    def asked(self, cluster, ended, waiting):
        answers = run_load("ask", cluster.address(), ended, waiting, self.options.asks)
        return {a["ask"]: a for a in answers}

    # -- a long history

    def start(self):
        options = self.options
        jobs = options.ended + options.waiting
        full = self.history("full", options.ended, options.waiting)
        size = (full / "journal.db").stat().st_size
        seconds, rss = [], []
        for _ in range(options.repeat):
            begin = time.monotonic()
            cluster = Cluster(workers=0, state=full)
            seconds.append(time.monotonic() - begin)
            rss.append(memory_mb(cluster))
            cluster.close()
        print(f"start with {jobs} jobs ({size / 1e6:.0f} MB of journal): {spread(seconds, 's')}, "
              f"{max(rss):.0f} MB resident; budget {START_BUDGET_S} s")
        begin = time.monotonic()
        empty = Cluster(workers=0, state=self.history("empty", 100, 0))
        print(f"start with 100 jobs: {time.monotonic() - begin:.3f} s, {memory_mb(empty):.0f} MB")
        few = self.asked(empty, 100, 0)
        empty.close()

        cluster = Cluster(workers=0, state=full)
        many = self.asked(cluster, options.ended, jobs if options.waiting else 0)
        begin = time.monotonic()
        cluster.muster("list", "--state", "queued")
        print(f"muster list --state queued: {time.monotonic() - begin:.3f} s for "
              f"{options.waiting} jobs")
        begin = time.monotonic()
        cluster.muster("list")
        print(f"muster list: {time.monotonic() - begin:.3f} s for {jobs} jobs")
        print(f"resident after the questions: {memory_mb(cluster):.0f} MB")
        cluster.close()
        print(f"{'milliseconds':26} {'p50':>8} {'p99':>8}   with 100 jobs: {'p50':>6} {'p99':>8}")
        for what, took in many.items():
            line = f"{what:26} {took['p50_ms']:8.2f} {took['p99_ms']:8.2f}"
            if what in few:
                line += f"   {few[what]['p50_ms']:21.2f} {few[what]['p99_ms']:8.2f}"
            print(line)

    # -- submissions at once

    def submit(self, kill):
        options = self.options
        floor, rate, p50, p99, edge, gaps, starts = [], [], [], [], [], [], []
        for run in range(options.repeat):
            folder = self.dir / f"{'kill' if kill else 'append'}{run}"
            folder.mkdir()
            floor.append(run_load("append", folder, options.jobs, options.clients)[-1]["per_second"])
            cluster = Cluster(workers=0)
            try:
                edge.append(run_load("check", cluster.address(), options.jobs, options.clients,
                                     "edge")[-1]["per_second"])
                load = Load(cluster, options.jobs, options.clients, f"run{run}")
                if kill:
                    load.wait_acknowledged(options.jobs // 2)
                    starts.append(load.kill_and_start())
                figures = load.finish()
            finally:
                cluster.close()
            rate.append(figures["per_second"])
            p50.append(figures["p50_ms"])
            p99.append(figures["p99_ms"])
            gaps.append(figures["longest_gap_s"])
        how = ", killed in the middle" if kill else ""
        print(f"{options.jobs} submissions by {options.clients} clients{how}: "
              f"{spread(rate, '/s', 0)}; none lost, none doubled")
        print(f"  latency p50 {spread(p50, 'ms', 2)}; p99 {spread(p99, 'ms', 2)}")
        print(f"  the bare journal with {options.clients} callers: {spread(floor, '/s', 0)}")
        print(f"  the same calls as validate_only, without the journal: {spread(edge, '/s', 0)}")
        if kill:
            print(f"  kill -9 to serving again: {spread(starts, 's')}")
            print(f"  longest time without any acknowledgement: {spread(gaps, 's')}")


def memory_mb(cluster):
    status = pathlib.Path(f"/proc/{cluster.daemons['coordinator'].pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def spread(values, unit, digits=3):
    return (f"median {statistics.median(values):.{digits}f} {unit}, {min(values):.{digits}f} to "
            f"{max(values):.{digits}f} ({len(values)} runs)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ended", type=int, default=90_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--asks", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=["start", "submit", "kill"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began")
    bench = Bench(options)
    try:
        if options.only in (None, "start"):
            bench.start()
        if options.only in (None, "submit"):
            bench.submit(kill=False)
        if options.only in (None, "kill"):
            bench.submit(kill=True)
    finally:
        shutil.rmtree(bench.dir, ignore_errors=True)


if __name__ == "__main__":
    main()
