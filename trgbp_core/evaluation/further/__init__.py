"""Beyond the tables of one network in the protocol of the paper."""
