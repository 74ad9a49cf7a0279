"""The command line. Each command lives in its own module and is imported when it is asked for: help stays quick."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from assay import __version__
from assay.errors import AssayError

# name: (module:object, one line for --help, section)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "screen": ("screen:screen", "Screen files, folders or standard input.", "Screening"),
    "history": ("history:history", "What was screened before.", "Screening"),
    "replay": (
        "replay:replay",
        "Judge a stored screening again, with today's calibration and policy.",
        "Screening",
    ),
    "review": ("review:review", "Look at a random share of what was delivered.", "Screening"),
    "retrohunt": (
        "retrohunt:retrohunt",
        "Ask what was screened before again, with what is known today.",
        "Screening",
    ),
    "quarantine": (
        "quarantine:quarantine",
        "List, show, release, confirm or purge what was diverted.",
        "Screening",
    ),
    "serve": ("serve:serve", "Serve HTTP, clamd's protocol, ICAP and watched folders.", "Gateway"),
    "worker": ("serve:worker", "Work on what gateways of other machines admitted.", "Gateway"),
    "keys": ("keys:keys", "Who may use the HTTP API.", "Gateway"),
    "webhooks": ("webhooks:webhooks", "Addresses that are told of verdicts.", "Gateway"),
    "testfile": ("testfile:testfile", "Write a harmless sample that is always found.", "Screening"),
    "bench": ("bench:bench", "Measure detectors, audit corpora, calibrate.", "Measuring"),
    "range": ("range:group", "Make labelled, marked fakes of known kinds.", "Measuring"),
    "models": ("models:models", "List, pull and verify the weights of detectors.", "Set-up"),
    "signatures": (
        "signatures:signatures",
        "Known fakes and originals; lists and signed packs of them.",
        "Set-up",
    ),
    "trust": ("trust:trust", "Whose content credentials to believe.", "Set-up"),
    "config": ("config:config", "Explain, find and check the configuration.", "Set-up"),
    "doctor": ("doctor:doctor", "Check this machine: the jail's layers, weights, store, disk.", "Set-up"),
    "schema": ("schema:schema", "Print the JSON Schema of `screen --json`.", "Set-up"),
    "audit": ("audit:audit", "Show and verify the record of what people did.", "Upkeep"),
    "db": ("db:db", "Upgrade the database, apply retention.", "Upkeep"),
    "forget": ("forget:forget", "Remove all that is stored of a sample or a source.", "Upkeep"),
    "backup": ("backup:backup", "Write all that is stored into one file.", "Upkeep"),
    "restore": ("backup:restore", "Bring a backup back.", "Upkeep"),
    "uninstall": ("uninstall:uninstall", "Remove everything that Assay stored.", "Upkeep"),
}


class LazyGroup(click.Group):
    """A group that knows the names of its commands and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"assay.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section in dict.fromkeys(section for _, _, section in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text, s) in COMMANDS.items() if s == section])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="assay")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False),
    help="Read this assay.toml instead of the usual ones.",
)
@click.pass_context
def root(ctx: click.Context, config_file: str | None) -> None:
    """Assay screens images, video, audio and what carries them for manipulation and synthesis.

    It says what it found, where, why and how sure, and abstains when it cannot know.
    """
    ctx.obj = config_file


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error on purpose becomes one line with what to do, and exit code 2."""
    try:
        code: Any = root.main(args=arguments, prog_name="assay", standalone_mode=False)
    except click.exceptions.Abort:
        print("assay: stopped", file=sys.stderr)
        raise SystemExit(130) from None
    except click.ClickException as e:
        e.show()
        raise SystemExit(e.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(141) from None
    except AssayError as e:
        from assay.report.escape import printable

        hint = f"\n  {printable(e.hint)}" if e.hint else ""
        print(f"assay: {printable(e.message)}{hint}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)
