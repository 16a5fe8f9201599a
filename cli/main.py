"""`hansa`: one command. Groups are imported when they are used: libp2p alone takes a second."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from cli import output
from cli.settings import Settings, json_option, key_option, node_option
from consensus.primitives.errors import HansaError, InputError

# name -> (module:attribute, line in the list of commands)
COMMANDS: Final = {
    "demo": ("cli.demo:demo", "Start a network, play the sample trade, show its trace."),
    "devnet": ("cli.devnet:devnet", "Four validators and a full node on this machine."),
    "status": ("cli.status:status", "What a node says of itself and its peers."),
    "doctor": ("cli.doctor:doctor", "Why a node or the network does not advance; what to do."),
    "debug": ("cli.debug:debug", "Record what a node's agreement is told, and replay it."),
    "trace": ("cli.trace:trace", "The history of a batch, as events with their transactions."),
    "shipment": ("cli.shipment:shipment", "Carry goods: DCSA documents, positions, geofences."),
    "proof": ("cli.proof:proof", "Values, absences and whole maps, each with its proof checked."),
    "recall": ("cli.recall:recall", "Recalls: initiate, classify, notify, return, end."),
    "audit": ("cli.audit:audit", "The audit trail as a file, proven by the chain."),
    "report": ("cli.report:report", "Recalls and DSCSA requests as PDF and JSON."),
    "bill": ("cli.bill:bill", "Bills of lading from DCSA documents."),
    "invoice": ("cli.invoice.command:invoice", "Invoices: EN 16931 checks, fingerprints."),
    "credit": ("cli.credit:credit", "Letters of credit: terms, documents, messages as files."),
    "mt": ("cli.mt.command:mt", "SWIFT messages of credits: check, import, export."),
    "epcis": ("cli.epcis.command:epcis", "Capture and export GS1 EPCIS events."),
    "dscsa": ("cli.dscsa:dscsa", "Trade medicines by the DSCSA: sales, requests, answers."),
    "tasks": ("cli.tasks:tasks", "What awaits you and your organisation; what others owe."),
    "screen": ("cli.screening.command:screen", "Names against sanctions lists, on this machine."),
    "call": ("cli.call:call", "Call a contract's method in a signed transaction."),
    "query": ("cli.call:query", "Ask a contract."),
    "check": ("cli.check:check", "Run a contract's check over the own node's vault."),
    "vault": ("cli.vault:vault", "What stands behind commitments: list, get, share, erase."),
    "contract": ("cli.contract:contract", "Write, check, propose and rehearse contracts."),
    "governance": ("cli.governance:governance", "Propose and vote: validators, rules, contracts."),
    "evidence": ("cli.evidence:evidence", "Proof that a validator contradicted itself."),
    "tx": ("cli.tx:tx", "Submit transactions, follow and show them."),
    "block": ("cli.block:block", "Show committed blocks."),
    "node": ("cli.node:node", "Prepare and run a node."),
    "light": ("cli.light.command:light", "A node of headers only: every answer proven."),
    "db": ("cli.db:db", "Verify, repair and count what a node has on its disk."),
    "backup": ("cli.backup:backup", "A running node's data in one file; check such a file."),
    "restore": ("cli.backup:restore", "A node's folder out of a backup."),
    "keys": ("cli.keys:keys", "Make, show and export keys."),
    "genesis": ("cli.genesis:genesis", "Found a consortium: draft, entries, seals."),
    "completion": ("cli.completion:completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib import metadata

        try:
            click.echo(f"hansa {metadata.version('hansa-node')}")
        except metadata.PackageNotFoundError:
            click.echo("hansa (run from its sources)")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version.",
)  # fmt: skip
@json_option
@key_option
@node_option
def cli() -> None:
    """Hansa: a permissioned ledger for trade.

    \b
    Examples:
      hansa demo --once
      hansa devnet up
      hansa status --json
      hansa query identity organisation id=4012345000009

    \b
    Exit codes: 0 done, 1 refused by the node or a contract, 2 wrong usage,
    3 node unreachable or too slow, 4 a local file, key or setting is wrong,
    5 internal error, 130 interrupted. Error codes: docs/errors.md
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code. Errors are printed, never raised."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # A usage error may stand before the option, but its form should not depend on that.
    settings = Settings(json="--json" in given)
    try:
        result: Any = cli.main(
            given,
            prog_name="hansa",
            standalone_mode=False,
            obj=settings,
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else output.OK
    except click.exceptions.Abort:
        output.print_error("INTERRUPTED", "stopped before it was done", as_json=settings.json)
        return output.INTERRUPTED
    except click.UsageError as error:
        if settings.json:
            output.print_error("USAGE", error.format_message(), as_json=True)
        else:
            error.show()
        return output.USAGE
    except click.ClickException as error:
        output.print_error("FILE_NOT_READABLE", error.format_message(), as_json=settings.json)
        return output.LOCAL
    except HansaError as error:
        output.print_error(error.code, error.message, as_json=settings.json)
        return output.exit_code_of(error)
    except OSError as error:
        return _system_error(error, settings)
    except RecursionError:  # JSON from a file or an argument, wherever it is read
        deep = InputError("TOO_DEEP", "lists or objects are nested too deeply")
        output.print_error(deep.code, deep.message, as_json=settings.json)
        return output.exit_code_of(deep)
    except Exception as error:  # the one place that meets what nobody expected
        return _internal_error(error, settings)


def _system_error(error: OSError, settings: Settings) -> int:
    if error.errno == errno.EPIPE:  # the reader, such as `head`, has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.OK
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        output.print_error("DISK_FULL", str(error), as_json=settings.json)
        return output.LOCAL
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        output.print_error("FILE_NOT_USABLE", str(error), as_json=settings.json)
        return output.LOCAL
    return _internal_error(error, settings)


def _internal_error(error: Exception, settings: Settings) -> int:
    where = output.keep_traceback(error)
    output.print_error(
        "INTERNAL_ERROR",
        f"{type(error).__name__}; this is a mistake in Hansa. Details: {where}",
        as_json=settings.json,
    )
    return output.INTERNAL


def main() -> None:
    """The `hansa` command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
