"""Reads the heads of RAM slots without Muster's code (docs/formats/ram_slot.md)."""
import contextlib
import struct

SEALED = 2


def sealed(vaults, uid, without=()):
    """rank → {(attempt, step)} that are sealed, copies on other nodes too, but for some nodes'."""
    found = {}
    for path in vaults.glob(f"*/{uid}/r*.?"):
        if path.parent.parent.name in without:
            continue
        head = b""
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            head = file.read(528)
        if len(head) < 528 or head[:8] != b"MUSTSLOT":
            continue
        (rank,) = struct.unpack_from("<I", head, 12)
        step, attempt = struct.unpack_from("<QQ", head, 24)
        (state,) = struct.unpack_from("<I", head, 512)
        if state == SEALED:
            found.setdefault(rank, set()).add((attempt, step))
    return found


def common_steps(vaults, uid, ranks, without=()):
    """The steps that are sealed of every rank of an attempt; two at most, of one attempt."""
    held = sealed(vaults, uid, without)
    if len(held) < ranks:
        return set()
    return {step for _, step in set.intersection(*held.values())}


def common_step(vaults, uid, ranks, without=()):
    """The newest of them; 0: there is none."""
    return max(common_steps(vaults, uid, ranks, without), default=0)


def kept_step(vaults, uid, ranks, without=()):
    """What nothing can undo: of two common steps the ranks refill one, and which one they keep is
    not seen from outside (the newer one when all know that it is copied). 0: there is none."""
    return min(common_steps(vaults, uid, ranks, without), default=0)


def committed(checkpoints, uid, step):
    return any((checkpoints / uid).glob(f"step-{step:010d}.*/COMMIT"))
