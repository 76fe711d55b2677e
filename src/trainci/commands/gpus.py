"""``trainci gpus``: who holds each device since when, who waits, and what is quarantined."""

from __future__ import annotations

import time

import click

from trainci.errors import EXIT_OK, UsageError
from trainci.host import devices
from trainci.lease.view import DeviceStatus, Waiting, release, status
from trainci.text import counted, printable


@click.command("gpus")
@click.option("--lock-dir", metavar="DIR", help="The host's lock directory; $TRAINCI_LOCK_DIR or /dev/shm/trainci.")
@click.option("--release", "uuid", metavar="UUID", help="Clear the quarantine of this device.")
def command(lock_dir: str | None, uuid: str | None) -> int:
    """Show each device of this host, who holds it since when, and who waits."""
    if uuid is not None:
        if not release(uuid, lock_dir):
            raise UsageError(f"{printable(uuid)} is not quarantined. `trainci gpus` shows what is.")
        click.echo(f"{printable(uuid)} may be leased again.")
        return EXIT_OK
    seen = status(lock_dir, devices.discover())
    now = time.time()
    if not seen.devices:
        click.echo("no GPU on this host, and no device was ever leased here.")
    for device in seen.devices:
        click.echo(_device_line(device, now))
    for position, waiting in enumerate(seen.waiting, start=1):
        click.echo(_waiting_line(position, waiting, now))
    return EXIT_OK


def _device_line(device: DeviceStatus, now: float) -> str:
    who = f"{device.index:>3}  {device.uuid}  {device.name or 'device of another container'}: "
    if device.state == "held":
        until = "" if device.until is None else f", until {_clock(device.until)} at the latest"
        ill = f"; then quarantined: {device.reason}" if device.reason else ""
        held = (
            f"held by {device.holder} (user {device.user}, process {device.pid}) since {_since(device.since, now)}"
        )
        return who + held + until + ill
    if device.state == "foreign":
        return who + "locked by something that is no lease of trainci's"
    if device.state == "quarantined":
        way_out = f"`trainci gpus --release {device.uuid}` clears it"
        return who + f"quarantined since {_since(device.since, now)}: {device.reason}; {way_out}"
    return who + device.state + (f": {device.reason}" if device.reason else "")


def _waiting_line(position: int, waiting: Waiting, now: float) -> str:
    what = f"devices {', '.join(waiting.devices)}" if waiting.devices else counted(waiting.count, "device")
    start = "unknown" if waiting.expected_start is None else f"by {_clock(waiting.expected_start)}"
    who = f"{waiting.name} (user {waiting.user}, process {waiting.pid})"
    return f"waiting {position}: {what} for {who} since {_since(waiting.since, now)}; starts: {start}"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _since(at: float | None, now: float) -> str:
    return "an unknown time" if at is None else f"{_clock(at)} ({max(0.0, now - at):.0f} s ago)"
