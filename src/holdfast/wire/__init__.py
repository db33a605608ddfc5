"""How values cross to other programs: as JSON, by one set of rules for every shell."""
