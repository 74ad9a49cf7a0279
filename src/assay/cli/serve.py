"""`assay serve` and `assay worker`: the gateway in the foreground, until a signal stops it in good order."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.settings import settings_of

if TYPE_CHECKING:
    from assay.serve.engine import Engine

passphrase_file = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the quarantine's first identity takes its passphrase from [default: ask, or $ASSAY_PASSPHRASE].",
)
log_level = click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), help="Samples at once [default: one a core]."
)


@click.command()
@click.option("--http", metavar="HOST:PORT", help="Instead of serve.http; '' for none.")
@click.option("--clamd", metavar="HOST:PORT", help="Instead of serve.clamd; '' for none.")
@click.option("--clamd-socket", metavar="PATH", help="Instead of serve.clamd_socket.")
@click.option("--icap", metavar="HOST:PORT", help="Instead of serve.icap; '' for none.")
@click.option("--folder", "folders", multiple=True, metavar="PATH", help="Watch this folder, too.")
@jobs_option
@passphrase_file
@log_level
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    *,
    folders: tuple[str, ...],
    jobs: int | None,
    passphrase_file: Path | None,
    log_level: str,
    **given: Any,
) -> int:
    r"""Serve the HTTP API, clamd's protocol, ICAP and watched folders, and work on what arrives.

    \b
    SIGTERM, SIGINT  take nothing more, finish what is under way, end; a second one ends at once
    SIGHUP           read settings, trust lists, signatures and calibration again

    Under systemd it says when it is ready, reloading, stopping and alive (Type=notify).
    """
    named = {f"serve__{k}": v for k, v in given.items()}
    if folders:
        named["serve__folders"] = [os.path.abspath(f) for f in folders]
    engine = _engine(ctx, passphrase_file, log_level, jobs=jobs, **named)
    with engine:
        return asyncio.run(_serve(engine))


@click.command()
@jobs_option
@passphrase_file
@log_level
@click.pass_context
def worker(ctx: click.Context, *, jobs: int | None, passphrase_file: Path | None, log_level: str) -> int:
    """Work on samples that others admitted, on as many machines as share store.database and store.media."""
    with _engine(ctx, passphrase_file, log_level, jobs=jobs) as engine:
        return asyncio.run(_wait(engine))


def _engine(ctx: click.Context, passphrase: Path | None, level: str, **given: Any) -> Engine:
    from assay.action.identity import passphrase_source
    from assay.serve import logs
    from assay.serve.engine import Engine

    def asked(text: str) -> str:
        return str(click.prompt(text, hide_input=True, err=True))

    logs.configure(level.upper())
    terminal = os.isatty(0) and os.isatty(2)
    source = passphrase_source(os.environ, passphrase, asked if terminal else None, new=True)
    return Engine(lambda: settings_of(ctx, **given), passphrase=source)


async def _serve(engine: Engine) -> int:
    from assay.serve.gateway import Gateway

    gateway = Gateway(engine)
    await gateway.start()
    for what, where in gateway.listening.items():
        click.echo(f"{what:<14} {where}", err=True)
    for warning in dict.fromkeys((*engine.settings.warnings, *engine.screener.warnings)):
        click.echo(f"Note: {warning}", err=True)
    click.echo("Ready.", err=True)
    try:
        return await _wait(engine, ", ".join(f"{what} {where}" for what, where in gateway.listening.items()))
    finally:
        await gateway.stop()


async def _wait(engine: Engine, status: str = "working on what others admit") -> int:
    """Tell that it is ready, and wait for the signal that ends it; SIGHUP reloads meanwhile."""
    from assay.serve import systemd

    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end(number: int) -> None:
        if ended.is_set():
            os._exit(128 + number)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(_reload(engine, status)))
    alive = loop.create_task(systemd.stay_alive())
    systemd.notify(systemd.READY, status=status)
    await ended.wait()
    systemd.notify(systemd.STOPPING, status="finishing what is under way")
    alive.cancel()
    return 0


async def _reload(engine: Engine, status: str) -> None:
    from assay.errors import AssayError
    from assay.serve import systemd

    systemd.notify(systemd.reloading())
    try:
        await asyncio.to_thread(engine.reload)
    except AssayError as e:
        click.echo(f"assay: nothing was reloaded: {e.message}", err=True)
        status = f"nothing was reloaded: {e.message}"
    systemd.notify(systemd.READY, status=status)
