"""For developers and newcomers: `python dev.py demo`, `serve`, `examples`, `test`, `bench` ...

Needs nothing but Python 3.10 or newer; `python dev.py --help` says what each command does.
"""

import sys

OLDEST = (3, 10)


def main():  # type: ignore[no-untyped-def]  # must also parse where annotations would not
    """Check Python first, since the rest of the tools cannot even be read by an old one."""
    if sys.version_info < OLDEST:
        have, need = (".".join(str(n) for n in v[:2]) for v in (sys.version_info, OLDEST))
        print("Error: this needs Python " + need + " or newer, and this is " + have + ".")
        return 1
    from tools.commands import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
