"""A model in one file: its folder with its history, to be had as it is on another machine."""
