"""Generated replacements for the hub data sets: the same columns, about fictional films, businesses and sciences."""
