"""Area and clock of one config, with open tools."""
