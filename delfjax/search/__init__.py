"""Find nearest neighbors of local features, and rank the photos of a database for a query photo."""
