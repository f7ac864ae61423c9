"""Small wrong changes to the modules that make numbers, and whether the tests notice them."""
