"""From a folder of pictures to the paper's tables: one process or many, interrupted and continued at will."""
