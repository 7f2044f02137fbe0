"""Takes out of a text what looks like a credential.

Providers repeat parts of the key in their errors, and name organisations and projects; callers of the gateway know
neither. Better one identifier too many is taken out than one key too few.
"""

import re
from typing import Any

__all__ = ["scrub", "scrub_document"]

_REMOVED = "[removed]"
_PREFIXES = "sk|pk|rk|gsk|xai|csk|hf|r8|pplx|nvapi|tgp|fw|ghp|glpat|org|proj|acct|user|ak|key"
_PATTERNS = re.compile(
    r"(?i:bearer)\s+[^\s\"']+"
    rf"|\b(?i:{_PREFIXES})[-_][A-Za-z0-9_*.…-]{{6,}}"
    r"|\bAIza[0-9A-Za-z_-]{10,}"
    r"|\bA[KS]IA[0-9A-Z]{12,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+"
    r"|[A-Za-z0-9_+/=-]*\*{3,}[A-Za-z0-9_+/=-]*"
    r"|\b[A-Za-z0-9_+/-]{32,}"
)
_MAX_DEPTH = 8


def scrub(text: str, *keys: str | None) -> str:
    """`text` without `keys` and without anything that looks like one."""
    for key in keys:
        if key:
            text = text.replace(key, _REMOVED)
    return _PATTERNS.sub(_REMOVED, text)


def scrub_document(document: Any, *keys: str | None, depth: int = _MAX_DEPTH) -> Any:
    """The same for every text of a JSON document; what is nested deeper than `depth` is left out."""
    if isinstance(document, str):
        return scrub(document, *keys)
    if not isinstance(document, dict | list):
        return document
    if depth == 0:
        return None
    if isinstance(document, list):
        return [scrub_document(item, *keys, depth=depth - 1) for item in document]
    return {scrub(name, *keys): scrub_document(item, *keys, depth=depth - 1) for name, item in document.items()}
