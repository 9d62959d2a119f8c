"""From photos to stored local features."""
