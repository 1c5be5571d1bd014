"""DigitalOcean, the nodes, the bucket and LiveKit: one world, and its clients."""
