"""What every room needs: errors, the clock, text, serialization, containment."""
