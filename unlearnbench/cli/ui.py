"""``unlearnbench ui``: MLflow's own pages on a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ui(
    results: Annotated[Path, typer.Option(help="Folder of the results store.")] = Path("results"),
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 5000,
) -> None:
    """Open MLflow on the results store: runs, trials, metrics, artefacts. Ctrl-C ends it."""
    import os
    import subprocess
    import sys
    from urllib.parse import quote

    from unlearnbench.tracking.store import KIND, Store

    Store.existing(results)
    # Opened to write, as MLflow's server does: it then shows no artefacts but this folder's, wherever it was made.
    store = Store(results)
    cells = quote(f"tags.`{KIND}` = 'cell'")
    place = f"http://{host}:{port}/#/experiments/{store.experiment_id}/runs?searchFilter={cells}&compareRunsMode=CHART"
    typer.echo(f"MLflow on {store.results}: {place}")
    command = ["mlflow", "ui", "--backend-store-uri", store.uri, "--host", host, "--port", str(port)]
    try:
        # MLflow's background jobs are for evaluating applications; nothing here needs their dozen processes.
        # The folder may be a stranger's: whatever it names must not be sent the user's password.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")}
        environment = {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        raise typer.Exit(subprocess.run([sys.executable, "-m", *command], check=False, env=environment).returncode)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
