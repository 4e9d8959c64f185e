"""Checks the licences of what is locked, and its known vulnerabilities: `make audit`.

pip-licenses reads the licences of an environment that has the lock `dev`; that has all that users
install, too. pip-audit asks OSV's database of advisories about each locked version. If that can't
be reached, the audit says so, and fails only if it is told to be strict.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ALLOWED = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause ISC MIT MIT-0 MPL-2.0 PSF-2.0 Unlicense".split()
)
"""Licences, by SPDX, that a program under any licence can use as they are."""

TITLES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What older metadata says, and the licence that it means."""

FOR_TESTS = {
    "promql-parser": "MIT; its metadata does not say so",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "zope-event": "ZPL-2.1, needed by gevent",
    "zope-interface": "ZPL-2.1, needed by gevent",
}
"""Packages that no user gets, and their licences; tests/test_audit.py checks that no user does."""

LOCKS = ("dev", "lock", "audit")
"""The locks to ask about. All others but the oldest have a part of the first."""

UNREACHED = re.compile(r"Connection|Timeout|Proxy|SSL|ServiceError")
"""What pip-audit's last line says if the database can't be reached."""


def is_allowed(licence: str) -> bool:
    """Whether everything that an expression or a list of titles demands is allowed."""
    demands = re.split(r" AND |; ", licence)
    return all(
        any(TITLES.get(name, name) in ALLOWED for name in demand.split(" OR "))
        for demand in demands
    )


def canonicalize(name: str) -> str:
    """Return the name of a package as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that is installed beside this Python."""
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *arguments], check=False, capture_output=True, text=True)


def audit_licences(python: str) -> bool:
    """Print the licences of an environment, and return whether all are allowed."""
    done = run("pip-licenses", "--python", python, "--from", "mixed", "--format", "json")
    done.check_returncode()
    packages = json.loads(done.stdout)
    refused = [
        one
        for one in packages
        if not is_allowed(one["License"]) and canonicalize(one["Name"]) not in FOR_TESTS
    ]
    for licence, count in Counter(one["License"] for one in packages).most_common():
        print(f"{count:4} {licence}")
    for one in refused:
        print(f"REFUSED: {one['Name']} {one['Version']} has the licence {one['License']}")
    print(f"Licences: {len(packages)} packages, {len(refused)} refused.")
    return bool(packages) and not refused


def audit_lock(lock: str, options: list[str]) -> bool | None:
    """Print the known vulnerabilities of a lock, and return whether it has none; None: unknown."""
    name = f"requirements/{lock}.txt"
    done = run(
        *("pip-audit", "--vulnerability-service", "osv", "--progress-spinner", "off"),
        *("--format", "json", "--disable-pip", "--require-hashes", "--requirement"),
        *(str(Path(__file__).with_name(f"{lock}.txt")), *options),
    )
    if not done.stdout:
        reason = done.stderr.strip().rpartition("\n")[2]
        print(f"NOT CHECKED: {name}: {reason}")
        return None if UNREACHED.search(reason) else False
    packages = json.loads(done.stdout)["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    found = [(one, fault) for one in packages for fault in one.get("vulns", ())]
    for one, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no version"
        print(f"VULNERABLE: {one['name']} {one['version']}: {fault['id']}, fixed in {fixed}")
    if skipped:
        print(f"NOT CHECKED: {name}: {', '.join(skipped)}")
    print(f"Vulnerabilities: {name}: {len(packages) - len(skipped)} packages, {len(found)} known.")
    return False if found else None if skipped else bool(packages)


def main() -> int:
    """Print both, and return the exit status: 1 for what is wrong, 3 for what is unchecked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("python", help="the Python of the environment that has the lock `dev`")
    parser.add_argument("--strict", action="store_true", help="fail if OSV can't be reached")
    parser.add_argument("--osv-url", help="a mirror of https://api.osv.dev/v1/query")
    options = parser.parse_args()
    more = ["--osv-url", options.osv_url] if options.osv_url else []
    results = [audit_licences(options.python), *(audit_lock(lock, more) for lock in LOCKS)]
    if False in results:
        return 1
    if None in results:
        print("NOT CHECKED: what OSV knows of these packages; it can't be reached from here.")
        return 3 if options.strict else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
