"""The page that tells what a restoration did: made from a record, self-contained, without network."""
