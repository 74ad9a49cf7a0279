"""Run a command as a plain user, wherever the checkout lies.

A checkout below a folder that only its owner may enter (/root is one) cannot be started by anybody else. Here such
folders are covered, in a mount namespace of the command's own, by empty ones that all may enter and that hold only what
the command needs. Run as a script it is the part that happens in that namespace.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

UID = 12345  # of nobody that exists
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def run_as_another_user(
    command: Sequence[str | Path], *, needs: Iterable[Path] = (), env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `command` as uid 12345 without groups, from /, with this interpreter and the folders in `needs` in reach."""
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    import assay

    python = Path(sys.executable)
    folders = [python.parent, python.resolve().parent, Path(sys.prefix), Path(sys.base_prefix)]
    folders += [Path(assay.__file__).parent, *needs]
    return subprocess.run(
        [*NAMESPACE, sys.executable, __file__, os.pathsep.join(map(str, folders)), *command],
        env=dict(env),
        cwd="/",
        capture_output=True,
        check=False,
        timeout=timeout,
    )


def closed_above(folder: Path) -> Path | None:
    """The uppermost folder on the way to `folder`, itself included, that others may not enter."""
    return next((p for p in (*reversed(folder.parents), folder) if not p.stat().st_mode & 0o001), None)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def open_way(folders: Iterable[Path]) -> None:
    """Cover the closed folders above `folders`, in this namespace only."""
    for folder in folders:
        while (closed := closed_above(folder)) is not None and closed != folder:
            aside = tempfile.mkdtemp(dir="/run")  # never below what is covered
            mount("--bind", closed, aside)
            mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed)
            for other in folders:
                if closed in other.parents:
                    name = other.relative_to(closed).parts[0]
                    if not (closed / name).exists():
                        (closed / name).mkdir()
                        mount("--bind", Path(aside, name), closed / name)
            subprocess.run(["umount", "--lazy", aside], check=True)
            os.rmdir(aside)


def main() -> None:
    folders, *command = sys.argv[1:]
    open_way([Path(p) for p in dict.fromkeys(folders.split(os.pathsep))])
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
