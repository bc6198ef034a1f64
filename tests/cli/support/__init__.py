"""What the tests of the binary share; the fixtures in conftest.py are the way in."""
