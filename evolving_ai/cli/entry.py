"""What `evolving-ai` starts: a module so small that Ctrl-C while the rest is imported is told in a line."""

import sys

__all__ = ["run"]


def run() -> None:
    """Run the command line of this process."""
    try:
        from evolving_ai.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
