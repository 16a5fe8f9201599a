"""`hansa report`: what the chain knew at a height, as a document that anyone can make again.

Nodes keep the newest states only. So a report replays the chain up to its height, as a rehearsal
does: each block is checked against its certificate, executed, and compared with its header. That
costs a minute for some hundred thousand transactions, trusts the genesis document alone (that of
--genesis or --chain-id, else the node's), and gives the very state that contracts' queries answer
from.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import trio

from cli import output
from cli.answers import Answer
from cli.proof import chain_line, trust_options
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.rehearsal import BlockSource
    from node.chain import Chain

FORMAT: Final = "hansa-report/1"
NAMES_MAX: Final = 1_000
ID_SIZES: Final = range(8, 21)  # of an organisation's GLN, LEI or BIC

T = TypeVar("T")
Ask = Callable[[str, str, dict[str, Any]], Any]
Whole = Callable[[dict[str, Any], "_State"], dict[str, Any]]


def _options(function: Any) -> Any:
    for option in (
        click.option("--height", type=click.IntRange(min=1), help="As of this block; else newest."),
        click.option("--format", "form", type=click.Choice(("pdf", "json")), default="pdf"),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True),
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            help="Replay a stopped node's data folder instead of a node's blocks.",
        ),
        trust_options,
        node_option,
        json_option,
    ):
        function = option(function)
    return function


@click.group()
def report() -> None:
    """Reports that anyone makes again from the same chain and height, byte for byte.

    The blocks up to the height are replayed and checked, so that takes a minute for some hundred
    thousand transactions.
    """


@report.command()
@click.argument("number", type=click.IntRange(min=1))
@_options
def recall(number: int, **options: Any) -> None:
    """A recall: product, class, strategy, notices, what was distributed, recovered, destroyed.

    \b
    Examples:
      hansa report recall 1 --out recall-1.pdf
      hansa report recall 1 --height 2041 --format json --out recall-1.json
    """
    args = {"number": number}
    _make(f"Recall {number}", "recall", "report", args, whole_recall, **options)


@report.command("dscsa-request")
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@_options
def dscsa_request(number: int, **options: Any) -> None:
    """A request for transaction information by DSCSA: verification, transactions, statements.

    \b
    Examples:
      hansa report dscsa-request 3 --out request-3.pdf
    """
    title = f"DSCSA request {number}"
    _make(title, "dscsa", "request_report", {"request": number}, None, **options)


def _make(
    title: str,
    contract: str,
    method: str,
    args: dict[str, Any],
    whole: Whole | None,
    *,
    height: int | None,
    form: str,
    out: Path,
    data: Path | None,
    genesis: Path | None,
    chain_id: str | None,
) -> None:
    from cli.proven import open_source
    from node.keystore import write_whole

    if out.exists():
        raise InputError("FILE_EXISTS", f"{out} is there already")
    with open_source(data, genesis, chain_id) as source:
        at = source.height if height is None else height
        if at > source.height:
            raise InputError("BLOCK_NOT_FOUND", f"the newest block is {source.height}")
        made = make_report(source, at, title, contract, method, args, output.say, whole)
    raw = as_pdf(made) if form == "pdf" else as_json(made)
    write_whole(out, raw, mode=0o644)  # all of it is public on the chain
    if current().json:
        output.print_json({"file": str(out), "height": at, "block": made["block"]})
    else:
        click.echo(f"{out}: {title} as of block {at}, {made['time']}")
        output.say(chain_line(made["chain_id"], pinned=bool(genesis or chain_id)))


# --- what is in it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """A replayed state that is asked like a node."""

    height: int
    ask: Ask

    def query(self, contract: str, method: str, args: dict[str, Any]) -> Answer:
        return Answer(self.height, self.ask(contract, method, args))


def whole_recall(answer: dict[str, Any], state: _State) -> dict[str, Any]:
    """A recall's report with what one query did not give: all pages of its lists."""
    from cli.recall_board import all_notices, whole_board
    from contracts.supply.recall_board import tables, totals_of

    number = answer["number"]
    board = whole_board(state, number)
    rows = board["rows"]
    by_holder, by_day = tables(rows)
    returns: list[Any] = []
    while page := state.ask("recall", "returns_of", {"number": number, "after": len(returns)}):
        returns += page
    scope: list[Any] = []
    while page := state.ask("recall", "scope", {"number": number, "start": len(scope)}):
        scope += page
    return {
        **answer,
        "complete": True,
        "scope": scope,
        "totals": [totals_of(row) for row in rows],
        "by_holder": by_holder,
        "by_day": by_day,
        "contradictions": board["contradictions"],
        "notices": all_notices(state, number),
        "returns": returns,
    }


def make_report(
    source: BlockSource,
    height: int,
    title: str,
    contract: str,
    method: str,
    args: dict[str, Any],
    say: Callable[[str], None],
    whole: Whole | None = None,
) -> dict[str, Any]:
    """A query's answer at a height, with the names of the organisations in it, as JSON's values.
    ``whole`` asks for what is left where the answer says that it is not complete.

    Raises InputError with the query's refusal, ClientError REPORT_UNKNOWN where it knows nothing,
    LocalFault or PeerFault where the blocks are not those of a chain.
    """
    from cli.audit_rows import utc
    from cli.client import ClientError
    from contracts.runtime.executor import run_query

    def read(chain: Chain) -> dict[str, Any]:
        def ask(contract: str, method: str, args: dict[str, Any]) -> Any:
            context = chain.block_context()
            return run_query(chain.registry, chain.state, context, contract, method, args)

        answer = ask(contract, method, args)
        if answer is None:
            raise ClientError("REPORT_UNKNOWN", f"{title}: nothing is known of it at this height")
        if whole is not None and not answer["complete"]:
            answer = whole(answer, _State(chain.height, ask))
        header = chain.header
        return {
            "format": FORMAT,
            "title": title,
            "chain_id": chain.chain_id.hex(),
            "height": chain.height,
            "block": chain.hash.hex(),
            "time": utc(header.time_ms),
            "time_ms": header.time_ms,
            "state_root": header.state_root.hex(),
            "query": f"{contract}.{method}",
            "answer": data_to_json(answer),
            "organisations": names_of(answer, ask),
        }

    return at_height(source, height, read, say)


def at_height(
    source: BlockSource, height: int, read: Callable[[Chain], T], say: Callable[[str], None]
) -> T:
    """What ``read`` finds in the chain as it was at a height."""
    from cli.rehearsal import ChainCopy
    from node.care.replay import StateOnly

    with tempfile.TemporaryDirectory(prefix="hansa-report-") as folder:
        kv = StateOnly(Path(folder) / "copy")

        async def replay() -> T:
            copy = ChainCopy(source, kv, say)
            say(f"replaying {height} blocks")
            while copy.chain.height < height:
                await copy.commit(await copy.next())
            return read(copy.chain)

        try:
            return trio.run(replay)
        finally:
            kv.close()


def names_of(answer: Any, ask: Ask) -> dict[str, str]:
    """The names of the organisations that an answer has the ids of, as they were then."""
    found: dict[str, str] = {}
    ids = [one for one in dict.fromkeys(_texts(answer)) if len(one) in ID_SIZES and one.isalnum()]
    for one in ids[:NAMES_MAX]:
        try:
            organisation = ask("identity", "organisation", {"id": one})
        except InputError:
            continue  # not the form of an id
        if organisation is not None:
            found[one] = organisation["name"]
    return dict(sorted(found.items()))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def as_json(made: dict[str, Any]) -> bytes:
    shown = {name: one for name, one in made.items() if name != "time_ms"}
    return (json.dumps(shown, indent=2, ensure_ascii=False) + "\n").encode()


def as_pdf(made: dict[str, Any]) -> bytes:
    from cli.report_layout import DSCSA_REQUEST, RECALL
    from cli.report_pdf import make_pdf

    names = ("chain_id", "height", "block", "time", "time_ms", "state_root", "query")
    layout = RECALL if made["query"] == "recall.report" else DSCSA_REQUEST
    organisations = made["organisations"]
    answer = _named(made["answer"], organisations)
    return make_pdf(
        made["title"], {name: made[name] for name in names}, answer, layout, organisations
    )


def _named(value: Any, names: dict[str, str]) -> Any:
    """The same with the names of organisations behind their ids."""
    if isinstance(value, str):
        return f"{value} ({names[value]})" if value in names else value
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if isinstance(value, dict):
        return {name: _named(one, names) for name, one in value.items()}
    return value
