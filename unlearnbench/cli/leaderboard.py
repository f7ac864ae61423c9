"""``unlearnbench leaderboard``: tables and pages from results; joining and checking those of several people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError
from unlearnbench.storage.whole import write_whole

app = typer.Typer(help="Write the leaderboard of a results folder; merge and check leaderboards.")

Html = Annotated[bool, typer.Option("--html", help="Also write leaderboard.html, one page that needs nothing else.")]
Latex = Annotated[bool, typer.Option("--latex", help="Also write leaderboard.tex, tables for a paper (booktabs).")]
WithPaper = Annotated[bool, typer.Option("--with-paper", help="Show the paper's numbers beside.")]
Sort = Annotated[str, typer.Option(help="Column that orders the methods, as 'trade-off' or test_retain_accuracy.")]
AllSettings = Annotated[
    bool, typer.Option("--all-settings", help="A line for each of a row's settings, instead of the newest.")
]


@app.callback(invoke_without_command=True)
def leaderboard(
    context: typer.Context,
    results: Annotated[Path, typer.Option(help="Folder of the results store.")] = Path("results"),
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow server instead of the results folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write to; default: the results folder.")] = None,
    html: Html = False,
    latex: Latex = False,
    with_paper: WithPaper = False,
    sort: Sort = "trade_off",
    all_settings: AllSettings = False,
) -> None:
    """Write leaderboard.md, .csv and .json (and .html, .tex) from all finished cells."""
    if context.invoked_subcommand is not None:
        return
    from unlearnbench.leaderboard.samples import answers_to_tests
    from unlearnbench.leaderboard.stored import read_entries, read_examples
    from unlearnbench.leaderboard.write import write_leaderboard
    from unlearnbench.tracking.store import Store

    store = Store.existing(results, tracking_uri)
    written = write_leaderboard(
        read_entries(store),
        output or results,
        with_paper=with_paper,
        sort=sort,
        all_settings=all_settings,
        page=read_examples(store) if html else None,
        samples=answers_to_tests(store) if html else None,
        latex=latex,
        failed=list(store.failed_cells().values()),
    )
    markdown = next(path for path in written if path.suffix == ".md")
    typer.echo(markdown.read_text(encoding="utf-8"))
    typer.echo(safe(f"written: {', '.join(str(path) for path in written)}"))


@app.command()
def merge(
    sources: Annotated[list[str], typer.Argument(help="Results folders, leaderboard files, or MLflow URIs.")],
    output: Annotated[Path, typer.Option(help="Folder to write the joined leaderboard to.")],
    html: Html = False,
    latex: Latex = False,
    with_paper: WithPaper = False,
    sort: Sort = "trade_off",
    all_settings: AllSettings = False,
) -> None:
    """Join the results of several people. Exit code 2 where two of them contradict each other."""
    from unlearnbench.leaderboard.merge import merge_entries
    from unlearnbench.leaderboard.reading import read_leaderboard
    from unlearnbench.leaderboard.write import write_leaderboard

    read = {source: read_leaderboard(source) for source in sources}
    for source, (_, lacking) in read.items():
        for problem in lacking:
            typer.echo(safe(f"incomplete: {source}: {problem}"), err=True)
    merged = merge_entries({source: entries for source, (entries, _) in read.items()})
    for name, kept, dropped in merged.duplicates:
        typer.echo(safe(f"duplicate: {name}: kept that of {kept}, left out that of {dropped}"))
    written = write_leaderboard(
        merged.entries,
        output,
        with_paper=with_paper,
        sort=sort,
        all_settings=all_settings,
        page={} if html else None,
        latex=latex,
    )
    typer.echo(safe(f"{len(merged.entries)} results; written: {', '.join(str(path) for path in written)}"))


@app.command()
def check(
    sources: Annotated[list[str], typer.Argument(help="Leaderboard files or folders to check.")],
) -> None:
    """Check contributed leaderboards: schema, completeness, numbers that agree, nothing of your machine.

    Exit code 1 if anything is wrong.
    """
    from unlearnbench.leaderboard.check import check_entries, check_folder, telling_files
    from unlearnbench.leaderboard.files import open_entries

    wrong = 0
    for source in sources:
        try:
            entries = open_entries(source)
            folder = Path(source)
            problems = [*check_entries(entries), *telling_files(folder)]
            # A results folder records its settings with each run.
            if folder.is_dir() and not (folder / "mlflow.db").is_file():
                problems += check_folder(folder)
        except UserError as error:
            entries, problems = [], [str(error)]
        for problem in problems:
            typer.echo(safe(f"{source}: {problem}"))
        wrong += len(problems)
        if not problems:
            typer.echo(safe(f"{source}: {len(entries)} results, nothing wrong"))
    raise typer.Exit(1 if wrong else 0)


@app.command()
def picture(
    source: Annotated[str, typer.Argument(help="Results folder, leaderboard file or folder, or MLflow URI.")],
    output: Annotated[Path, typer.Option(help="SVG file to write.")] = Path("leaderboard.svg"),
) -> None:
    """Draw each task's forget and retain accuracies as an SVG that suits light and dark pages."""
    from unlearnbench.leaderboard.blocks import build_blocks
    from unlearnbench.leaderboard.page.picture import to_svg
    from unlearnbench.leaderboard.reading import read_leaderboard

    entries, _ = read_leaderboard(source)
    try:
        write_whole({output: to_svg(build_blocks(entries))})
    except OSError as error:
        raise UserError(f"{output} can't be written ({error.strerror}): name another file with --output.") from None
    typer.echo(safe(f"written: {output}"))


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="Folder that holds folders with a leaderboard.json each.")],
    output: Annotated[
        Path | None, typer.Option(help="Write the site to this folder, for any web host, instead of serving it.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
) -> None:
    """Show a folder of leaderboards as one static site with an index. Ctrl-C ends it."""
    from unlearnbench.leaderboard.page.site import read_boards, site_files

    boards, problems = read_boards(folder)
    for problem in problems:
        typer.echo(safe(f"left out: {problem}"), err=True)
    files = site_files(boards)
    if output is not None:
        _write_site(files, output)
        typer.echo(safe(f"{len(boards)} leaderboards; written: {output / 'index.html'}"))
        return
    with TemporaryDirectory() as scratch:
        _write_site(files, Path(scratch))
        _serve(Path(scratch), host, port, len(boards))


def _write_site(files: Mapping[str, str], folder: Path) -> None:
    try:
        for parent in {(folder / name).parent for name in files}:
            parent.mkdir(parents=True, exist_ok=True)
        write_whole({folder / name: text for name, text in files.items()})
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}): name another folder with --output.") from None


def _serve(folder: Path, host: str, port: int, boards: int) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Handler(SimpleHTTPRequestHandler):
        """Says nothing of each request."""

        def log_message(self, *_: object) -> None: ...

    try:
        server = ThreadingHTTPServer((host, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise UserError(f"{host}:{port} can't be listened at ({error.strerror}): name another --port.") from None
    typer.echo(f"{boards} leaderboards: http://{host}:{port}/ (Ctrl-C ends it)")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


@app.command()
def schema() -> None:
    """Print the JSON Schema of leaderboard.json."""
    import json

    from unlearnbench.leaderboard.entry import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))
