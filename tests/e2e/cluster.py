"""A real Muster cluster on this machine, for tests: daemons, kills, and what is left behind.

Every process belongs to one temporary folder, whose path stands in its command line or its
environment; that is how ranks are found and how leftovers are counted.

    with Cluster(workers=2) as cluster:
        ...

ends all of it, and fails when something was left running. A test that fails before, or is killed, or
has no `with`, leaves no process either: what was started ends with the test's process.
"""
import atexit
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("MUSTER_BIN", "build/bin")).resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
SHM = pathlib.Path("/dev/shm")
# What Open MPI, PMIx or Muster could leave in a temp folder.
LITTER = ("ompi.", "pmix", "prte", "muster-rank", "muster-shim", "vader")
JOBS_MAX, ATTEMPTS_MAX = 300, 120  # that one test has


def wait_for(what, condition, timeout=60.0, every=0.02):
    """Waits until condition() is truthy and returns it; fails naming what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(every)


def processes(word):
    """pid → command line of every process whose command line or environment holds `word`."""
    found = {}
    needle = word.encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = pathlib.Path(entry.path, "cmdline").read_bytes()
            environment = pathlib.Path(entry.path, "environ").read_bytes()
        except OSError:
            continue
        if needle in command or needle in environment:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def environment_of(pid):
    try:
        raw = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    return dict(item.split("=", 1) for item in raw.decode(errors="replace").split("\0") if "=" in item)


def end_with_us():
    """For a child before its program starts: it is killed when the test's process is gone."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def held_by(path):
    """The living processes that have something below `path` open or mapped."""
    needle = str(path)
    holders = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            seen = needle in pathlib.Path(entry.path, "maps").read_text(errors="replace")
            seen = seen or any(needle in os.readlink(fd.path)
                               for fd in os.scandir(entry.path + "/fd"))
        except OSError:
            continue
        if seen:
            holders.add(int(entry.name))
    return holders


def hash_on(text, start=14695981039346656037):
    """FNV-1a, with which a shim names what is its own."""
    value = start
    for byte in os.fsencode(text):
        value = (value ^ byte) * 1099511628211 & (1 << 64) - 1
    return value


class Cluster:
    def __init__(self, workers=2, slots=2, coordinator_flags=(), worker_flags=(), state=None,
                 node_flags=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="muster-e2e-"))
        self.vaults = pathlib.Path("/dev/shm") / (self.dir.name + "-vaults")
        self.state = pathlib.Path(state) if state else self.dir / "coordinator"
        self.slots = slots
        # Tests kill ranks and workers on purpose: no node is guilty of that, unless a test says so.
        quarantine = [] if "--quarantine-share" in coordinator_flags else ["--quarantine-share", "0"]
        self.coordinator_flags = [*coordinator_flags, *quarantine]
        self.worker_flags = list(worker_flags)
        self.node_flags = node_flags or {}  # name → flags of that worker alone
        self.daemons = {}
        atexit.register(self.close_late)
        self.shm_before = set(os.listdir(SHM))
        self.temp = self.dir / "tmp"
        self.temp.mkdir()
        self.environment = dict(os.environ, MUSTER_E2E=str(self.dir), TMPDIR=str(self.temp))
        self.start_coordinator()
        for index in range(1, workers + 1):
            self.start_worker(f"n{index}")
        wait_for("all workers ready", lambda: len(self.ready_nodes()) == workers)

    # -- daemons

    def spawn(self, name, command):
        log = open(self.dir / f"{name}.log", "ab")
        self.daemons[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.dir,
                                              stdin=subprocess.DEVNULL, env=self.environment,
                                              preexec_fn=end_with_us)
        log.close()

    def start_coordinator(self, port=0):
        (self.state / "address").unlink(missing_ok=True)
        self.spawn("coordinator", [BIN / "muster-coordinator", "--listen", f"127.0.0.1:{port}",
                                   "--state", self.state, *self.coordinator_flags])
        wait_for("the coordinator's address", lambda: self.address() or self.dead("coordinator"))
        if self.dead("coordinator"):
            raise AssertionError("coordinator: " + self.log("coordinator"))

    def start_worker(self, name):
        flags = [*self.worker_flags, *self.node_flags.get(name, ())]
        vault = [] if "--vault" in flags else ["--vault", self.vaults / name]
        self.spawn(name, [BIN / "muster-worker", "--node", name, "--state", self.dir / name,
                          "--coordinator-file", self.state / "address",
                          "--slots", str(self.slots), *vault, *flags])

    def dead(self, name):
        return self.daemons[name].poll() is not None

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def kill(self, name, how=signal.SIGKILL):
        process = self.daemons[name]
        process.send_signal(how)
        process.wait(timeout=30)

    def power_off(self, name):
        """The worker and all it started are gone at once, as when the machine loses power."""
        self.kill(name)
        wait_for(f"nothing left on {name}", lambda: not self.kill_all(f"{self.dir / name}/"))
        shutil.rmtree(self.vaults / name, ignore_errors=True)

    def kill_all(self, word):
        left = processes(word)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return left

    def address(self):
        try:
            return (self.state / "address").read_text().strip()
        except OSError:
            return ""

    def vault_jobs(self):
        """Folders of jobs in the nodes' memory."""
        # Folders may go while it looks.
        return [f"{node}/{job}" for node, jobs, _ in os.walk(self.vaults)
                if pathlib.Path(node).parent == self.vaults for job in jobs]

    # -- the command line

    def muster(self, *args, check=True, timeout=120, cwd=None):
        result = subprocess.run([BIN / "muster", "--coordinator", self.address(), *map(str, args)],
                                capture_output=True, text=True, timeout=timeout,
                                cwd=cwd or self.dir, env=self.environment)
        if check and result.returncode != 0:
            raise AssertionError(f"muster {' '.join(map(str, args))}: exit {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result

    def json(self, *args):
        return json.loads(self.muster(*args, "-o", "json").stdout)

    def ready_nodes(self):
        result = self.muster("node", "list", "-o", "json", check=False)
        if result.returncode != 0:
            return []
        return [n["name"] for n in json.loads(result.stdout)["nodes"] if n["state"] == "ready"]

    def submit(self, text):
        path = self.dir / "job.yaml"
        path.write_text(text)
        return int(self.json("submit", "-f", path)["id"])

    def job(self, job_id):
        return self.json("describe", job_id)

    def wait_state(self, job_id, *states, timeout=120):
        return wait_for(f"job {job_id} in {states}",
                        lambda: (lambda j: j if j["state"] in states else None)(self.job(job_id)),
                        timeout, every=0.1)

    def wait_step(self, job_id, step, timeout=120):
        def reached():
            job = self.job(job_id)
            if job["state"] in ("failed", "cancelled"):
                raise AssertionError(f"job {job_id} {job['state']}: {job['reason']}")
            return int(job["progress"]["step"] if job.get("progress") else 0) >= step or \
                job["state"] == "succeeded"
        wait_for(f"job {job_id} at step {step}", reached, timeout, every=0.05)

    def ranks(self, job_id=None):
        """rank → pid of the living ranks of this cluster's jobs."""
        found = {}
        for pid, command in processes(str(self.dir)).items():
            env = environment_of(pid)
            if "MUSTER_RANK" in env and (job_id is None or env.get("MUSTER_JOB_ID") == str(job_id)):
                try:
                    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
                except OSError:
                    continue
                if state != "Z":
                    found[int(env["MUSTER_RANK"])] = pid
        return found

    # -- the end

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            left = self.close()
            assert not left, f"left running: {left}"
            return
        print(self.log("coordinator")[-3000:], flush=True)
        self.close(keep=True)
        print(f"state kept in {self.dir}", flush=True)

    def close_late(self):
        """For a test that ends without closing: it has failed."""
        self.close(keep=True)
        print(f"ended what was left running; state kept in {self.dir}", flush=True)

    def close(self, keep=False):
        """Ends every daemon, then returns what is left that should not be: {} is the only good
        answer."""
        atexit.unregister(self.close_late)
        for name, process in self.daemons.items():
            if name != "coordinator" and process.poll() is None:
                process.kill()
        for process in self.daemons.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        left = self.kill_all(str(self.dir))  # shims and ranks of jobs still running at the end
        wait_for("every process gone", lambda: not self.kill_all(str(self.dir)), timeout=30)
        shutil.rmtree(self.vaults, ignore_errors=True)
        for name in self.own_shared_memory():  # of attempts whose worker is no more
            if name.startswith("muster-"):
                shutil.rmtree(SHM / name, ignore_errors=True)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return left

    def own_shared_memory(self):
        """What this cluster's attempts have in /dev/shm. Others run beside us: their folders carry
        another scope, their other files are held by them, or were there before."""
        new = {n for n in os.listdir(SHM) if not n.endswith("-vaults")} - self.shm_before
        scoped = {n for n in new if re.fullmatch(r"muster-[0-9a-f]{16}", n)}
        found = {n for n in new - scoped if not held_by(SHM / n) and (SHM / n).exists()}
        if scoped:
            found |= scoped & {f"muster-{scope:016x}" for scope in self.scopes()}
        return sorted(found)

    def scopes(self):
        """Those of all attempts this cluster can have had."""
        for worker in self.daemons:
            start = hash_on(f"{os.path.realpath(self.dir / worker)}/attempts/")
            for job in range(1, JOBS_MAX + 1):
                of_job = hash_on(f"{job}.", start)
                for attempt in range(1, ATTEMPTS_MAX + 1):
                    yield hash_on(str(attempt), of_job)

    def assert_clean(self):
        """Nothing of any attempt is left while the daemons live and no job runs."""
        def strays():
            known = {p.pid for p in self.daemons.values()}
            return {pid: c for pid, c in processes(str(self.dir)).items() if pid not in known}
        wait_for(f"no stray process: {strays()}", lambda: not strays(), timeout=20)
        wait_for(f"no job's checkpoints in memory: {self.vault_jobs()}",
                 lambda: not self.vault_jobs(), timeout=10)
        wait_for(f"nothing of ours in /dev/shm: {self.own_shared_memory()}",
                 lambda: not self.own_shared_memory(), timeout=10)
        litter = lambda: [n for n in os.listdir(self.temp) if n.startswith(LITTER)]
        wait_for(f"no litter in {self.temp}: {litter()}", lambda: not litter(), timeout=10)
        for worker in [n for n in self.daemons if n != "coordinator"]:
            attempts = self.dir / worker / "attempts"
            wait_for(f"no attempt folder in {attempts}",
                     lambda: not attempts.exists() or not list(attempts.iterdir()), timeout=20)
