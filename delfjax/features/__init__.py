"""Local and global features: image pyramid, extraction, PCA, handcrafted descriptors and stores."""
