"""What is measured, against which limit or peer, and how to run it again: `make bench`."""
