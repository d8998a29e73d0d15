"""The commands for a data set: a folder of pictures, most of them labelled."""
