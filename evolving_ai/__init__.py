"""An LLM gateway that improves itself, on Ray.

Importing the package is cheap on purpose: it loads no third-party package and starts nothing.
"""

from evolving_ai._version import __version__

__all__ = ["__version__"]
