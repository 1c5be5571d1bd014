"""`rehearse`: a change is played in a simulated world, before it is made in the real one."""
