"""Units of systemd as systemd sees them, and what a traced program does that its unit forbids."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path


def run(*command: object, status: int | None = 0) -> str:
    """What a command says; an assertion has it if its status is another one."""
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert status in (None, done.returncode), done.stdout
    return done.stdout


def verified(analyze: str, folder: Path, text: str) -> str:
    """What systemd has against a unit whose program is there."""
    file = folder / "verified.service"
    program = folder / "program"
    program.touch(0o755)
    file.write_text(re.sub("^ExecStart=[^ ]+", f"ExecStart={program}", text, flags=re.MULTILINE))
    return run(analyze, "verify", "--man=no", file, status=None)


def setting(unit: str, name: str) -> list[str]:
    """The words of a setting of a unit, of all its lines."""
    return [
        word for line in re.findall(f"^{name}=(.*)$", unit, re.MULTILINE) for word in line.split()
    ]


def members(analyze: str, group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    lines = run(analyze, "syscall-filter", "--no-pager", group).splitlines()[1:]
    found = {line.strip() for line in lines if not line.strip().startswith("#")}
    nested = {each for each in found if each.startswith("@")}
    return (found - nested).union(*(members(analyze, each) for each in nested))


def allowed(analyze: str, unit: str) -> set[str]:
    """The system calls that a unit allows."""
    granted, *forbidden = re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE)
    calls = set().union(*(members(analyze, group) for group in granted.split()))
    for line in forbidden:
        assert line.startswith("~")
        calls -= set().union(*(members(analyze, group) for group in line[1:].split()))
    return calls


def made(calls: Sequence[str]) -> set[str]:
    """The names of the system calls that strace told of."""
    return set(re.findall(r"^\d+ +(\w+)\(", "\n".join(calls), re.MULTILINE))


def sockets(calls: Sequence[str]) -> set[str]:
    """The kinds of sockets that were made."""
    return {kind for line in calls for kind in re.findall(r" socket\((\w+)", line)}


def writable_code(calls: Sequence[str]) -> list[str]:
    """The calls that made memory to run of memory to write to, or both at once."""
    mapped = [line for line in calls if re.search(r" mmap\(.*PROT_WRITE\|PROT_EXEC", line)]
    changed = [line for line in calls if re.search(r" (pkey_)?mprotect\(.*PROT_EXEC", line)]
    return mapped + changed


def written(calls: Sequence[str]) -> set[str]:
    """The files that were opened to be written to."""
    opened = (
        re.search(r' open(?:at)?\(.*?"([^"]*)".*O_(WRONLY|RDWR|CREAT)', line) for line in calls
    )
    return {found[1] for found in opened if found}
