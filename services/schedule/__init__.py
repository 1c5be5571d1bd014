"""Acts on windows: what is due is begun, told, measured, and repeated until somebody sees to it."""
