"""Where a network looks, over many pictures: groups of pictures that were decided alike, and which of them ask for a second look."""
