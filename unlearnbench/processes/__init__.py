"""Cells shared by the processes of one machine, or by a Ray cluster."""
