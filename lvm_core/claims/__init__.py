"""The claims of the earlier work's summary, each held against the figures of this run.

A claim is data (`table.py`): what was said, where, which rows of the comparison it takes to judge it, and the rule in
words. The rules themselves are small functions (`rules.py`) of the evidence (`evidence.py`).
"""

from lvm_core.claims.evidence import Claim
from lvm_core.claims.table import claims_text, measure_claims

__all__ = ["Claim", "claims_text", "measure_claims"]
