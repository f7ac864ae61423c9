"""MLflow: the store of runs, their files, databases and servers."""
