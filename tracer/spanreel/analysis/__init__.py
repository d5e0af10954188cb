"""Pure functions over recorded spans; used outside the program under observation."""
