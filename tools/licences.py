"""Name, version and licence of every dependency, and an error for each that is not allowed: `python tools/licences.py`.

Read from what the installed packages say of themselves. A licence that asks for more than to be named (GPL, LGPL) needs
a line in `REVIEWED`, with the reason why it may be used all the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-torch.txt")

ALLOWED = (
    *(
        r"MIT(-0|-CMU)?",
        r"(New |Modified )?BSD",
        r"BSD-[23]-Clause",
        r"0BSD",
        r"Apache([ -]2\.0| Software)?",
        r"ISC( \(ISCL\))?",
    ),
    *(r"MPL-2\.0", r"Mozilla Public 2\.0 \(MPL 2\.0\)", r"PSF-2\.0", r"Python Software Foundation", r"CNRI-Python"),
    *(r"Zlib", r"CC0-1\.0", r"BSL-1\.0", r"Apache-2\.0 WITH LLVM-exception", r"Zope Public"),
)
"""Licences, as patterns of the whole name without the word "License", that ask for no more than to be named."""

REVIEWED = {
    "asyncssh": "EPL-2.0 or GPL: taken under the EPL, a DVC transport that we use unchanged and do not import",
    "gensim": "LGPL-2.1: a package that users install unchanged from the registry; we read a corpus it carries",
    "grandalf": "GPL-2.0: draws `dvc dag`; run by DVC in its own process, not imported by us and not passed on",
    "pygit2": "GPL-2.0 with a linking exception: programs that link it keep their own licence",
}
"""Packages whose licence is none of the above, and why they may be used."""


def required(texts: Iterable[str]) -> list[str]:
    """Names of the packages in requirement files, in order, as they are written there."""
    return [match[1] for text in texts for match in re.finditer(r"^([A-Za-z0-9][\w.-]*)==", text, re.MULTILINE)]


def licence_of(package: metadata.PackageMetadata) -> str:
    """What a package says of its licence: SPDX expression, else its classifiers, else the first line of the text."""
    said = package.json
    expression = str(said.get("license_expression") or "")
    classifiers = [
        line.split(" :: ")[-1] for line in package.get_all("Classifier", []) if line.startswith("License ::")
    ]
    named = [name for name in classifiers if name != "OSI Approved"]
    return expression or " OR ".join(named) or str(said.get("license") or "").strip().split("\n")[0]


def is_allowed(licence: str) -> bool:
    """Whether one of its alternatives has only parts that are allowed; the empty licence is not."""
    plain = re.sub(r"[()]" if licence.count("(") > 1 or " AND (" in licence else r"(?!)", "", licence)
    return any(all(map(_is_listed, re.split(r" AND ", either))) for either in re.split(r" OR ", plain))


def _is_listed(name: str) -> bool:
    plain = re.sub(r"\s*\blicen[cs]e\b", "", name, flags=re.IGNORECASE).strip()
    return any(re.fullmatch(pattern, plain, re.IGNORECASE) for pattern in ALLOWED)


def problems(licences: Mapping[str, str], reviewed: Mapping[str, str] = REVIEWED) -> list[str]:
    """What is not allowed, a line each; lines of `reviewed` that are of no use any more are problems too.

    Args:
        licences: by name of the package.
        reviewed: exceptions, by name of the package.
    """
    found = [
        f"{name}: its licence {licence or '(none stated)'!r} is not allowed; take another package, or give a reason "
        "in tools/licences.py"
        for name, licence in licences.items()
        if not is_allowed(licence) and name not in reviewed
    ]
    for name in reviewed:
        if name not in licences or is_allowed(licences[name]):
            found.append(f"{name}: needs no exception in tools/licences.py any more; take it out")
    return found


def main() -> int:
    """Print the table and what is wrong; the exit code."""
    names = required((ROOT / file).read_text(encoding="utf-8") for file in FILES)
    packages = {name: metadata.distribution(name) for name in names}
    licences = {name: licence_of(package.metadata) for name, package in packages.items()}
    for name, licence in licences.items():
        print(f"{name:32} {packages[name].version:16} {licence or '-'}")
    wrong = problems(licences)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
