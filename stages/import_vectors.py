"""Vectors that the user brings, in our own form: data/imported/ (almost empty when data.kind is text)."""

from __future__ import annotations

from pathlib import Path

from lvm_core.bank.imported import DIRECTORY, ImportInfo
from lvm_core.config.data import DataParams
from lvm_core.config.params import load_group, read_params
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_directory
from lvm_core.runtime.folders import LeftOut
from lvm_core.runtime.resume import fingerprint, progress_folder, source_sha256


def main() -> None:
    """Open and check all files, find every row's place, then write the folder as a whole."""
    data = load_group(read_params(), "data", DataParams)
    if data.kind == "text":
        with progress_folder("import_vectors", fingerprint("text")), atomic_directory(DIRECTORY) as directory:
            ImportInfo("text").write(directory)
        return

    # Not before they are needed: imports and their errors cost time.
    from lvm_core.importers.sources import open_sources, read_rows
    from lvm_core.importers.write import file_identities, write_import

    named = {"train": data.train} | ({"ood": data.ood} if data.ood else {})
    identities = {origin: file_identities(value, f"data.{origin}") for origin, value in named.items()}
    columns = (data.text_column, data.id_column, data.title_column, data.vector_column)
    key = fingerprint(identities, columns, source_sha256())
    with progress_folder("import_vectors", key, keep_after_error=False) as work:
        opened = open_sources(named, data, work)
        sources = {
            origin: read_rows(source, Path(named[origin]).stem, origin, work) for origin, source in opened.items()
        }
        with atomic_directory(DIRECTORY) as directory:
            info = write_import(sources, data.encoder or "", work, directory)
    for origin, counts in info.sources.items():
        said = [f"{name} {value}" for name, value in counts.items() if name not in ("left_out", "examples")]
        print(f"import {origin}: {', '.join(said)}", flush=True)
        if left_out := LeftOut(counts["left_out"], counts["examples"]).said():
            print(f"import {origin}: passed over: {left_out}", flush=True)


if __name__ == "__main__":
    run_stage(main)
