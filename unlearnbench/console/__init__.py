"""What people read while it works: safe text, progress, quiet libraries."""
