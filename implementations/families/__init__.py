"""The rows of the catalogue, a file a family; no framework is imported here."""
