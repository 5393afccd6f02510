"""The physics: mass and light profiles, sources, PSFs, renderers and simulators."""
