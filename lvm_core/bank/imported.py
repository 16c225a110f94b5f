"""`data/imported/`: the vectors that a user brought, in our own form; almost empty where the data are text.

`import.json` (`ImportInfo`); with vectors also `vectors.npy` and `chunks.parquet` as in a bank, and `articles.parquet`
with `article_id, title, source, origin, group, first_row, n_chunks`: what the bank has, but for the splits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from lvm_core.config.params import PARAMS_FILE, STRICT, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_json
from lvm_core.runtime.readers import read_json, read_parquet
from lvm_core.windows import assign_splits

if TYPE_CHECKING:
    import pandas as pd


DIRECTORY = Path("data/imported")


@dataclass(frozen=True)
class ImportInfo:
    """What `import.json` says."""

    kind: str
    """`text` (nothing is imported) or `vectors`."""
    encoder: str = ""
    """Name of the vectors' encoder as the user gave it; "" if unknown."""
    dimension: int = 0
    """D of the vectors."""
    n_chunks: int = 0
    """Number of chunks."""
    content_sha256: str = ""
    """Of the vectors' bytes in row order."""
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Counts of what was read, dropped and changed, by origin (`train`, `ood`)."""
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def write(self, directory: str | Path) -> None:
        """Write `import.json` into `directory`."""
        write_json(Path(directory) / "import.json", asdict(self))


def read_import_info(directory: str | Path = DIRECTORY) -> ImportInfo:
    """Read `import.json`."""
    path = Path(directory) / "import.json"
    info: ImportInfo = validate(read_json(path), ImportInfo, "", path)
    return info


def split_imported(dev: float, val: float, seed: int, directory: str | Path = DIRECTORY) -> pd.DataFrame:
    """The bank's table of articles: the imported ones with their splits.

    Pieces of one group (pieces of an article, windows that overlap) get the same split. `dev` and `val` are shares of
    the groups of origin `train`, `seed` that of the draw.
    """
    articles = read_parquet(Path(directory) / "articles.parquet")
    home = articles["origin"] == "train"
    groups = articles.loc[home, "group"].unique().tolist()
    split_of = dict(zip(groups, assign_splits(groups, dev=dev, val=val, seed=seed), strict=True))
    for name in ("train", "dev", "val"):
        if name not in split_of.values():
            raise LvmError(
                f"{PARAMS_FILE}: split.dev = {dev} and split.val = {val} leave nothing for {name}: data.train has "
                f"{len(groups)} articles (or runs of overlapping windows) to divide; bring more, or lower them"
            )
    bank = articles.drop(columns=["origin", "group"])
    bank.insert(3, "split", articles["group"].map(split_of).where(home, "ood"))
    return bank
