"""From recorded results to tables, pages and comparisons."""
