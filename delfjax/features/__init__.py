"""Extract, reduce and store the local and global features of photos."""
